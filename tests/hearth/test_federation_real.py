"""A federation as it is: SuperLink, SuperNodes, superexecs and trainers as processes of their own, over TLS."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from feature_store.registry import Registry
from feature_store.signing import PublicKey, TrustedKeys
from hearth.federation.child import processes_of
from hearth.federation.filling import home
from tests.hearth.command import Command
from tests.training.worlds import checkerboard
from training.histories import Histories
from training.loop import run_rounds
from training.run import prepare
from training.settings import TrainingSettings
from training.transport import Cell, Cohorts, Simulation

pytestmark = pytest.mark.slow  # Flower's programs take ten seconds to start on a busy machine, and a round as long

PATIENCE = 900.0  # seconds; an exchange starts a process of Flower in each cell, which takes two of a processor
SPLIT = checkerboard()
SETTINGS = {"dim": 8, "alpha": 0.2, "cohort": 20, "rounds": 3}
HISTORIES = {
    f"canary-{number}": [*train.tolist(), *valid.tolist()]
    for number, (train, valid) in enumerate(zip(SPLIT.train, SPLIT.valid, strict=True))
}


class Running(NamedTuple):
    """A federation that is up. status: what `hearth federation status` says."""

    command: Command
    folder: Path
    status: Callable[[], dict[str, Any]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with federation(Command(tmp_path_factory.mktemp("home")), 2, "--plain-sums") as made:
        yield made


@contextmanager
def federation(command: Command, cells: int, *options: str) -> Iterator[Running]:
    """So many cells that are up; nothing is left of them afterwards."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as name:
        folder, interactions = Path(name) / "f", Path(name) / "interactions.csv"
        lines = [
            f"{who},item-{row},click,{10**9 + place}"
            for who, rows in HISTORIES.items()
            for place, row in enumerate(rows)
        ]
        interactions.write_text("\n".join(["user_id,item_id,event,timestamp", *lines, ""]))
        items = "".join(f"{item_id},,\n" for item_id in SPLIT.vocabulary.item_ids)
        (Path(name) / "items.csv").write_text(f"item_id,title,category\n{items}")
        (Path(name) / "settings.json").write_text(json.dumps(SETTINGS))
        numbers = ("--cells", str(cells), "--folder", folder, "--least-people", "3")
        up = ("federation", "up", *numbers, "--announced-draws", "--json", *options)

        def status() -> dict[str, Any]:
            found: dict[str, Any] = command.run("federation", "status", "--folder", folder, "--json").json()
            return found

        with command.started(*up, "--interactions", interactions) as process:
            try:
                until(lambda: _is_up(folder) or process.poll() is not None)
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                yield Running(command, folder, status)
            finally:  # its processes are in groups of their own, and would outlive a test that fails
                down = command.run("federation", "down", "--folder", folder, "--json")
            assert down.json()["ended"] >= 8
            assert processes_of(folder) == []
            assert process.wait(PATIENCE) == 0


def _is_up(folder: Path) -> bool:
    file = folder / "status.json"
    return file.exists() and json.loads(file.read_bytes())["ready"]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def trained(running: Running, *options: str | Path) -> dict[str, Any]:
    place = running.folder.parent
    told: dict[str, Any] = running.command.run(
        *("federation", "run", "--folder", running.folder, "--items", place / "items.csv"),
        *("--config", place / "settings.json", "--json", *options),
        patience=PATIENCE,
    ).json()
    return told


def simulated(count: int = 2) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The item vectors of three rounds over the same cells in one process; a tenth of each history is held out."""
    run = prepare(SPLIT, TrainingSettings.model_validate(SETTINGS))
    cells = []
    for number in range(count):
        here = sorted(who for who in HISTORIES if home(who, count) == number)
        train = Histories.of(HISTORIES[who][:-1] for who in here)
        cells.append(Cell(train, np.arange(len(train))))
    transport = Simulation(run.algorithm, cells, Cohorts(20, 60, run.settings.seed))
    *_, (state, _) = run_rounds(run.algorithm, transport, run.start(), rounds=3)
    return run.item_vectors(state)


def test_three_rounds_over_two_cells_give_the_checkpoint_of_the_simulation(running: Running) -> None:
    outcome = trained(running, "--quorum", "2", "--promote")
    assert (outcome["rounds"], outcome["cells"], outcome["clients"]) == (3, ["cell-1", "cell-2"], 60)
    assert outcome["adopted"] == {"people": 60, "folded": 60, "failed": 0}
    assert outcome["valid"]["users"] == 60
    key = PublicKey.load(running.folder / "signing-key.pub")
    registry = Registry(running.folder / "registry", TrustedKeys([key]))
    checkpoint = registry.load(outcome["checkpoint_id"])
    assert registry.production() == outcome["checkpoint_id"]
    assert checkpoint.vocabulary == SPLIT.vocabulary
    # The same kernel adds in the same order; what may differ is how BLAS in another process shares out its products.
    np.testing.assert_allclose(checkpoint.item_vectors, simulated(), rtol=0, atol=1e-5)
    least = 2 * 3 * checkpoint.item_vectors.nbytes  # to two cells in three rounds
    assert least < outcome["downlink_bytes"] < 4 * least
    assert least < outcome["uplink_bytes"] < 4 * least


def test_nobody_is_named_in_what_lies_outside_the_cells(running: Running) -> None:
    files = [file for file in running.folder.rglob("*") if file.is_file()]
    outside = [file for file in files if running.folder / "cells" not in file.parents]
    assert running.folder / "superlink.sqlite" in outside
    assert [file for file in outside if b"canary-" in file.read_bytes()] == []
    state = [file for file in outside if file.name.startswith("superlink.sqlite")]  # its -wal has the newest of it
    assert [file for file in state if b"line-" in file.read_bytes()] == []


def test_a_supernode_that_is_killed_comes_back_and_takes_part_again(running: Running) -> None:
    before = running.status()["processes"]["cell-2-supernode"]
    os.kill(before["pid"], signal.SIGKILL)
    log = running.folder / "logs" / "cell-2-supernode.log"
    # The SuperLink lets it in again when it has missed it for a minute; until then it counts as online, and is not.
    until(lambda: log.read_text().count("SuperNode ID: ") == 2)
    after = running.status()
    assert after["processes"]["cell-2-supernode"]["restarts"] > before["restarts"]
    assert (after["processes"]["cell-2-supernode"]["state"], after["online"]) == ("running", ["cell-1", "cell-2"])
    assert trained(running, "--rounds", "1", "--quorum", "2")["rounds"] == 1


def test_what_a_run_fails_by_is_said_in_a_line_and_the_exit_code_is_true(running: Running) -> None:
    place = running.folder.parent
    run = ("federation", "run", "--folder", running.folder, "--json")
    (place / "fedavg.json").write_text(json.dumps({"algorithm": "fedavg"}))
    asked = (*run, "--config", place / "fedavg.json", "--items", place / "items.csv")
    said = running.command.run(*asked, patience=PATIENCE)
    assert said.status == 1
    assert "cells compute the sums of algorithms curvature and gram; got fedavg" in said.error()


def test_three_cells_under_masks_give_the_checkpoint_of_the_simulation_and_the_centre_sees_their_total_alone(
    tmp_path: Path,
) -> None:
    command = Command(tmp_path)
    with federation(command, 3) as running:
        outcome = trained(running, "--quorum", "3", "--promote")
        assert (outcome["rounds"], outcome["clients"], outcome["secure_sums"]) == (3, 60, True)
        assert outcome["adopted"] == {"people": 60, "folded": 60, "failed": 0}
        key = PublicKey.load(running.folder / "signing-key.pub")
        checkpoint = Registry(running.folder / "registry", TrustedKeys([key])).load(outcome["checkpoint_id"])
        assert checkpoint.manifest.training["secure_sums"] is True
        # Sums in fixed point differ by 10^-7 of the largest number from those of float32, which the steps carry on.
        np.testing.assert_allclose(checkpoint.item_vectors, simulated(3), rtol=0, atol=1e-4)
        given = json.loads((running.folder / "cells/cell-1/trainer/given-updates.json").read_bytes())
        assert list(given.values()) == [["cell-1", "cell-2", "cell-3"]] * len(given)
        assert len(given) >= 4  # three rounds, and the evaluation


def test_two_cells_are_refused_unless_their_sums_may_be_seen(tmp_path: Path) -> None:
    said = Command(tmp_path).run("federation", "up", "--cells", "2", "--folder", tmp_path / "f")
    assert "asked for are 2. Take --cells 3, or --plain-sums, with which the centre sees" in said.error()
    assert not (tmp_path / "f").exists()
