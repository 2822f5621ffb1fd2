"""Three trainers as the processes that they are, one of them killed within a round."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from feature_store.encryption import own_keys
from feature_store.sqlite import open_sqlite
from hearth.federation.layout import Layout, Plan
from hearth.federation.processes import make_files
from tests.training.federation.local_cells import events_of
from tests.training.federation.secure_cells import THREE, secure_cells
from tests.training.federation.test_secure_adding import BEGIN, ROUND, plain_sums, require_equal
from training.federation.adding import Total
from training.federation.errors import TrainerUnavailable
from training.federation.exchange import Answers
from training.federation.forms import form_of
from training.federation.node_key_files import read_pinned
from training.federation.secure_adding import STAGES, Securely
from training.federation.tasks import TaskMessage
from training.federation.trainer import read_settings
from training.federation.trainer_socket import ask_trainer, is_ready

PATIENCE = 120.0


class Trainers:
    """Processes over the files that `hearth federation up` makes, by name; each can be killed and started again."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        for name in names:
            command = [sys.executable, "-m", "training.federation.trainer"]
            settings = self.layout.cell(name).trainer_settings
            self.processes[name] = subprocess.Popen([*command, str(settings)], stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while not all(is_ready(self.layout.cell(name).socket) for name in names):
            assert time.monotonic() < until
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        os.kill(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait(PATIENCE)

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(PATIENCE)


@pytest.fixture(scope="module")
def trainers() -> Iterator[Trainers]:
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        layout = Layout(Path(folder))
        make_files(
            layout, Plan(cells=tuple(THREE), least_people=5, announced_draws=True), layout.folder / "signing.pub"
        )
        for name, people in THREE.items():
            cell = layout.cell(name)

            async def fill(store: Path = cell.store, keys: Path = cell.store_keys, who: range = people) -> None:
                async with open_sqlite(store, own_keys(keys)) as stores:
                    await stores.events.put(events_of(who))

            asyncio.run(fill())
            settings = read_settings(cell.trainer_settings).model_copy(update={"registry": None})
            cell.trainer_settings.write_text(settings.model_dump_json())
        made = Trainers(layout)
        try:
            made.start(*THREE)
            yield made
        finally:
            made.end()


class Sockets:
    """Reaches trainers by their sockets. before: called before each exchange."""

    def __init__(self, layout: Layout, before: Callable[[str], None] = lambda _: None) -> None:
        self._layout, self._before = layout, before

    def cells(self) -> tuple[str, ...]:
        return tuple(THREE)

    def ask(self, messages: Mapping[str, bytes], about: str) -> Answers:
        self._before(about)
        replies, failures = dict[str, bytes](), dict[str, str]()
        for cell, content in messages.items():
            try:
                replies[cell] = ask_trainer(self._layout.cell(cell).socket, content, PATIENCE)
            except TrainerUnavailable as error:
                failures[cell] = str(error)
        return Answers(replies, failures)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(place, id=stage, marks=() if place in {2, 3} else pytest.mark.slow)
        for place, stage in enumerate(STAGES)
    ],
)
def test_a_trainer_that_is_killed_at_any_stage_has_dropped_out_and_is_back_in_the_next_round(
    trainers: Trainers, tmp_path: Path, place: int
) -> None:
    keys = read_pinned(trainers.layout.node_keys)
    securely = Securely(keys, ahead=4)

    def asked(task: TaskMessage, about: str, before: Callable[[str], None] = lambda _: None) -> Total:
        return securely(Sockets(trainers.layout, before), tuple(THREE), task, form_of(task), 2, about)

    def kill(about: str) -> None:
        if about.endswith(STAGES[place]):
            trainers.kill("cell-b")

    task, after = (
        TaskMessage(ROUND.header.model_copy(update={"round_number": number}), ROUND.arrays)
        for number in (10 + 2 * place, 11 + 2 * place)  # other people in each, as an update goes into one sum
    )
    asked(BEGIN, "the start")
    total = asked(task, "round 5", kill)
    trainers.start("cell-b")
    plain = secure_cells(tmp_path)
    plain_sums(plain, BEGIN, tuple(THREE))
    assert total.cells == (tuple(THREE) if place > 2 else ("cell-a", "cell-c"))
    require_equal(total.sums, plain_sums(plain, task, total.cells), task)
    whole = asked(after, "round 6")
    assert whole.cells == tuple(THREE)
    require_equal(whole.sums, plain_sums(plain, after, whole.cells), after)
