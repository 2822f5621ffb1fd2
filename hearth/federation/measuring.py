"""Measuring: what a round costs over real cells on this machine, under masks and in the clear, one after the other."""

import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hearth.federation.control import Control, opened_control
from hearth.federation.filling import fill
from hearth.federation.layout import Layout, Plan
from hearth.federation.running import run_to_end
from hearth.federation.up import cell_names, read_status, run_up
from hearth.trust import own_key, public_file
from training.federation.centre import Request, RunOutcome
from training.federation.errors import FederationError
from training.interactions import read_interactions
from training.settings import TrainingSettings

_SEED = 1
_EACH = 40  # items that a person has met
_READY_SECONDS = 600.0  # machines that measure are often busy


class Load(NamedTuple):
    """What rounds are of.

    rounds: measured, beside a first one, in which keys are made and programs are loaded.
    """

    cells: int = 3
    items: int = 3628
    dim: int = 64
    people: int = 900
    rounds: int = 4


def measure_federation(load: Load, report: Callable[[str], None]) -> dict[str, Any]:
    """Seconds and bytes of a round, masked and plain, as one JSON object.

    Bytes are those of messages, all cells together: what a run of several rounds takes beyond one of a single round,
    by the number of rounds it has more.

    Raises:
        FederationError: a federation does not start, or a run failed.
    """
    figures: dict[str, Any] = {"benchmark": "federation", "load": load._asdict()}
    for name, plain in (("masked", False), ("plain", True)):
        with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
            figures[name] = _measured(Path(folder), load, partial(_told, report, name), plain=plain)
    for what in ("seconds", "uplink_bytes", "downlink_bytes"):
        figures[f"{what}_of_plain"] = figures["masked"][what] / figures["plain"][what]
    return figures


def _told(report: Callable[[str], None], name: str, what: str) -> None:
    report(f"{name}: {what}")


def _measured(folder: Path, load: Load, report: Callable[[str], None], *, plain: bool) -> dict[str, Any]:
    layout = Layout(folder / "federation")
    plan = layout.planned(Plan(cells=cell_names(load.cells), plain_sums=plain))
    plan.require_possible()
    own_key(layout.signing_key)
    _write_people(folder, load)
    fill([layout.cell(name) for name in plan.cells], read_interactions(folder / "interactions.csv"))
    report(f"starting {load.cells} cells")
    with _running(layout, plan), opened_control(str(read_status(layout)["address"]), layout.authority) as control:
        report("one round")
        first = _trained(control, layout, folder, load, 1)
        report(f"{1 + load.rounds} rounds")
        longer = _trained(control, layout, folder, load, 1 + load.rounds)
    seconds = [record.seconds for record in longer.log[1:]]
    return {
        "seconds": statistics.median(seconds),
        "seconds_of_rounds": seconds,
        "seconds_of_first_round": longer.log[0].seconds,
        "uplink_bytes": (longer.uplink_bytes - first.uplink_bytes) / load.rounds,
        "downlink_bytes": (longer.downlink_bytes - first.downlink_bytes) / load.rounds,
        "missed": len(first.missed) + len(longer.missed),
        "secure_sums": longer.secure_sums,
    }


def _trained(control: Control, layout: Layout, folder: Path, load: Load, rounds: int) -> RunOutcome:
    settings = {"dim": load.dim, "rounds": rounds, "cohort": load.people // 2, "patience": 0}
    request = Request(
        registry=str(layout.registry),
        signing_key=layout.signing_key,
        settings=TrainingSettings.model_validate(settings),
        catalogue=folder / "items.csv",
        held_out=0.0,
        cells=load.cells,
        quorum=load.cells,
        fresh=True,
    )
    return run_to_end(control, layout, request, lambda _: None)


@contextmanager
def _running(layout: Layout, plan: Plan) -> Iterator[None]:
    """The federation, up; nothing is left of it afterwards."""
    stop, ready, failed = threading.Event(), threading.Event(), list[BaseException]()

    def keep_up() -> None:
        try:
            run_up(layout, plan, public_file(layout.signing_key), stop, lambda _: ready.set())
        except (FederationError, OSError) as error:
            failed.append(error)
        finally:
            ready.set()

    supervising = threading.Thread(target=keep_up)
    supervising.start()
    try:
        if not ready.wait(_READY_SECONDS) or failed:
            raise FederationError(f"the federation did not start: {failed or 'no word of it'}")
        yield
    finally:
        stop.set()
        supervising.join()


def _write_people(folder: Path, load: Load) -> None:
    """People who have met items at random, popular ones more often; every item is in the catalogue."""
    random, ids = np.random.default_rng(_SEED), [f"item-{row}" for row in range(load.items)]
    weights = 1 / np.arange(1, load.items + 1)
    (folder / "items.csv").write_text("item_id,title,category\n" + "".join(f"{item_id},,\n" for item_id in ids))
    lines = ["user_id,item_id,event,timestamp"]
    for person in range(load.people):
        met = random.choice(load.items, min(_EACH, load.items), replace=False, p=weights / weights.sum())
        lines += [f"person-{person},{ids[row]},click,{10**9 + place}" for place, row in enumerate(met)]
    (folder / "interactions.csv").write_text("\n".join([*lines, ""]))
