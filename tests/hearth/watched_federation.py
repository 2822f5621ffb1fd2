"""A federation of three cells as it is, each cell's trainer behind a proxy that records, and can be killed in parts."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from feature_store.registry import Registry
from feature_store.signing import PublicKey, TrustedKeys
from hearth.federation.child import processes_of
from hearth.federation.layout import Layout, Plan
from hearth.federation.processes import make_files
from hearth.trust import own_key, public_file
from tests.hearth.command import Command, Ended
from tests.training.federation.trainer_proxies import TrainerProxies, trainer_proxies
from training.federation.trainer import read_settings

PATIENCE = 1800.0  # seconds; an exchange of a round starts a process of Flower in each cell, which take two each
CELLS = ("cell-1", "cell-2", "cell-3")
LEAST_PEOPLE = 3


class Watched(NamedTuple):
    """A federation that is up. place: the folder above its own, for whatever else a test needs."""

    command: Command
    layout: Layout
    proxies: TrainerProxies

    @property
    def place(self) -> Path:
        return self.layout.folder.parent

    @property
    def trust(self) -> Path:
        return self.layout.folder / "signing-key.pub"

    def registry(self) -> Registry:
        return Registry(self.layout.registry, TrustedKeys([PublicKey.load(self.trust)]))

    def production(self) -> str | None:
        return self.registry().stages().production

    def ended(self, *arguments: str | Path) -> Ended:
        """As `Command.run`, with the patience that rounds ask for."""
        return self.command.run(*arguments, patience=PATIENCE)

    def child(self, name: str) -> int:
        """The number of that process, as the supervisor knows it."""
        return int(json.loads(self.layout.status.read_bytes())["processes"][name]["pid"])

    def server_app(self) -> int:
        """The number of the process in which the rounds are done."""
        (found,) = [pid for pid in processes_of(self.layout.folder) if "flwr-serverapp" in _command(pid)]
        return found

    def outside(self) -> list[Path]:
        """Every file that is no cell's."""
        files = [file for file in self.layout.folder.rglob("*") if file.is_file()]
        return [file for file in files if self.layout.folder / "cells" not in file.parents]


@contextmanager
def watched_federation(command: Command, interactions: str, *, announced_draws: bool = False) -> Iterator[Watched]:
    """It, with the lines of that file of interactions spread over its cells; no process is left afterwards.

    announced_draws: who is in a round follows from the seed alone, so that the round can be done once more elsewhere.
    """
    plan = Plan(cells=CELLS, least_people=LEAST_PEOPLE, announced_draws=announced_draws)
    with tempfile.TemporaryDirectory(prefix="hearth-") as name:
        layout, file = Layout(Path(name) / "f"), Path(name) / "interactions.csv"
        file.write_text(interactions)
        up = ("federation", "up", "--cells", str(len(CELLS)), "--folder", layout.folder)
        options = ("--least-people", str(LEAST_PEOPLE), *(["--announced-draws"] if announced_draws else []))
        with (
            trainer_proxies(_moved_trainers(layout, plan)) as proxies,
            command.started(*up, *options, "--interactions", file, stderr=subprocess.DEVNULL) as process,
        ):
            try:
                until(lambda: _is_up(layout) or process.poll() is not None)
                assert process.poll() is None, "the federation did not come up"
                yield Watched(command, layout, proxies)
            finally:
                command.run("federation", "down", "--folder", layout.folder)
            assert process.wait(PATIENCE) == 0
            assert processes_of(layout.folder) == []


def until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def kill(pid: int) -> None:
    """Kill a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def interactions_of(histories: dict[str, Sequence[str]]) -> str:
    """A file of what people did long ago, a second apart."""
    lines = [
        f"{who},{item},click,{10**9 + place}" for who, items in histories.items() for place, item in enumerate(items)
    ]
    return "\n".join(["user_id,item_id,event,timestamp", *lines, ""])


def catalogue_of(items: Sequence[str]) -> str:
    return "\n".join(["item_id,title,category", *(f"{item},," for item in items), ""])


def _moved_trainers(layout: Layout, plan: Plan) -> dict[str, tuple[Path, Path]]:
    """Have trainers listen elsewhere than where they are asked; by cell, both places."""
    own_key(layout.signing_key)
    make_files(layout, plan, public_file(layout.signing_key))
    places = {}
    for cell in map(layout.cell, CELLS):
        moved = read_settings(cell.trainer_settings).model_copy(update={"socket": cell.folder / "moved"})
        cell.trainer_settings.write_text(moved.model_dump_json())
        places[cell.name] = (cell.socket, moved.socket)
    return places


def _is_up(layout: Layout) -> bool:
    return layout.status.exists() and bool(json.loads(layout.status.read_bytes())["ready"])


def _command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
