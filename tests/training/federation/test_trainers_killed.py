"""SIGKILL of a trainer at each stage of a round, as it gets a message and as it has answered: sums stay right.

Trainers are the processes that they are, and the centre's side is in this one. `tests/hearth/test_federation_killed.py`
has the rest of a federation.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from feature_store.encryption import own_keys
from feature_store.sqlite import open_sqlite
from hearth.federation.layout import Layout, Plan
from hearth.federation.processes import make_files
from tests.training.federation.local_cells import HELD_OUT, LOSS, SPLIT, events_of
from tests.training.federation.secure_cells import THREE, secure_cells
from tests.training.federation.test_secure_adding import VECTORS, plain_sums, require_equal
from tests.training.federation.test_secure_processes import Sockets, Trainers
from tests.training.federation.trainer_proxies import Moment, Passed, TrainerProxies, trainer_proxies
from training.federation.adding import Total
from training.federation.errors import TooFewCells
from training.federation.forms import form_of
from training.federation.node_key_files import read_pinned
from training.federation.secure_adding import STAGES, Securely
from training.federation.tasks import PopulationTask, RoundTask, TaskMessage
from training.federation.trainer import read_settings
from training.federation.wire import item_ids_to_array

KILLED = "cell-b"
MASKED = STAGES.index("masked sums")


class Place(NamedTuple):
    """Three trainers as processes, behind proxies, and the centre's side in this process."""

    trainers: Trainers
    proxies: TrainerProxies
    securely: Securely

    def asked(self, task: TaskMessage, about: str) -> Total:
        return self.securely(Sockets(self.trainers.layout), tuple(THREE), task, form_of(task), 2, about)

    def kill_at(self, stage: str, moment: Moment, *cells: str) -> None:
        """Kill these when they have that stage's next message, or when the centre is about to have the answer."""
        left = set(cells)
        self.securely._prepared.clear()  # so that keys and shares are exchanged, and may be what is killed at

        def step_in(now: Moment, passed: Passed) -> bool:
            if (passed.stage, now) != (stage, moment) or passed.cell not in left:
                return False
            left.remove(passed.cell)
            self.trainers.kill(passed.cell)
            return moment == "asked"  # what it may have said is lost with it

        self.proxies.step_in = step_in

    def back(self, *cells: str) -> None:
        """Start them again."""
        self.proxies.step_in = lambda _moment, _passed: False
        self.trainers.start(*cells)

    def given(self, cell: str) -> dict[str, list[str]]:
        """Which sums a cell's updates went into, as its folder says."""
        file = self.trainers.layout.cell(cell).trainer_folder / "given-updates.json"
        found: dict[str, list[str]] = json.loads(file.read_bytes()) if file.exists() else {}
        return found


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        layout = Layout(Path(folder))
        make_files(
            layout, Plan(cells=tuple(THREE), least_people=5, announced_draws=True), layout.folder / "signing.pub"
        )
        fronts = {}
        for name, people in THREE.items():
            cell = layout.cell(name)
            asyncio.run(_fill(cell.store, cell.store_keys, people))
            moved = {"registry": None, "socket": cell.folder / "moved"}
            settings = read_settings(cell.trainer_settings).model_copy(update=moved)
            cell.trainer_settings.write_text(settings.model_dump_json())
            fronts[name] = (cell.socket, settings.socket)
        trainers = Trainers(layout)
        with trainer_proxies(fronts) as proxies:
            try:
                trainers.start(*THREE)
                yield Place(trainers, proxies, Securely(read_pinned(layout.node_keys), ahead=4))
            finally:
                trainers.end()


async def _fill(store: Path, keys: Path, people: range) -> None:
    async with open_sqlite(store, own_keys(keys)) as stores:
        await stores.events.put(events_of(people))


def begun(run_id: str) -> TaskMessage:
    header = PopulationTask(run_id=run_id, held_out=HELD_OUT)
    return TaskMessage(header, {"item_ids": item_ids_to_array(SPLIT.vocabulary)})


def round_of(run_id: str, number: int) -> TaskMessage:
    header = RoundTask(run_id=run_id, round_number=number, cohort=45, population=60, seed=7, loss=LOSS)
    return TaskMessage(header, {"item_vectors": VECTORS})


def counted_in(stage: str, moment: Moment) -> tuple[str, ...]:
    """The cells whose sums are in the total where one is killed then: who has given its masked sums is in it."""
    order = (STAGES.index(stage), moment == "answered")
    return tuple(THREE) if order >= (MASKED, True) else tuple(name for name in THREE if name != KILLED)


def moments(*often: tuple[str, Moment]) -> list[Any]:
    """Each stage at each moment; those that are no part of the default tests are marked."""
    return [
        pytest.param(stage, moment, id=f"{stage} {moment}", marks=() if (stage, moment) in often else pytest.mark.slow)
        for stage in STAGES
        for moment in ("asked", "answered")
    ]


@pytest.mark.parametrize(("stage", "moment"), moments(("agreement", "asked")))
def test_a_trainer_killed_within_a_round_is_in_the_total_or_not_and_in_the_next_whole_one(
    place: Place, tmp_path: Path, stage: str, moment: Moment
) -> None:
    run_id = f"run-{STAGES.index(stage)}-{moment}"
    place.asked(begun(run_id), "the start")
    place.kill_at(stage, moment, KILLED)
    number = 2 * STAGES.index(stage) + (moment == "answered")  # other people in each: an update goes into one sum
    task, after = round_of(run_id, number), round_of(run_id, number + 20)
    total = place.asked(task, "round")
    assert total.cells == counted_in(stage, moment)
    plain = secure_cells(tmp_path)
    plain_sums(plain, begun(run_id), tuple(THREE))
    require_equal(total.sums, plain_sums(plain, task, total.cells), task)
    place.back(KILLED)
    if (stage, moment) == ("unmasking", "answered"):  # nobody has missed it yet, and it has lost what was prepared
        assert place.asked(round_of(run_id, number + 40), "a round").cells == ("cell-a", "cell-c")
    whole = place.asked(after, "the next round")
    assert whole.cells == tuple(THREE)
    require_equal(whole.sums, plain_sums(plain, after, whole.cells), after)
    assert all(sorted(cells) == cells for cells in place.given(KILLED).values())


@pytest.mark.parametrize(("stage", "moment"), moments(("masked sums", "asked")))
def test_a_trainer_killed_at_the_start_of_a_run_is_no_part_of_it_or_takes_it_up_again(
    place: Place, stage: str, moment: Moment
) -> None:
    run_id = f"start-{STAGES.index(stage)}-{moment}"
    place.kill_at(stage, moment, KILLED)
    total = place.asked(begun(run_id), "the start")
    is_in = counted_in(stage, moment)
    assert total.cells == is_in
    assert total.sums.numbers["clients"] == sum(len(THREE[name]) for name in is_in)
    place.back(KILLED)
    place.securely._prepared.clear()  # rounds that it has lost, and would miss one by
    number = 50 + 2 * STAGES.index(stage) + (moment == "answered")
    again = place.asked(round_of(run_id, number), "round")
    if stage == "masked sums" and moment == "asked":
        assert set(again.cells) >= set(is_in)  # it may have written down that it began before it was killed
    else:
        assert again.cells == is_in
    assert place.asked(begun(f"{run_id}-next"), "the next run").sums.numbers["clients"] == 60


def test_two_trainers_killed_before_they_agree_end_no_more_than_the_attempt(place: Place, tmp_path: Path) -> None:
    place.asked(begun("run-two"), "the start")
    task = round_of("run-two", 80)
    place.kill_at("agreement", "asked", "cell-b", "cell-c")
    with pytest.raises(TooFewCells, match=r"agreement, needs the sums of at least 2 cells; 1 gave theirs \(cell-a\)"):
        place.asked(task, "round")
    place.back("cell-b")
    with pytest.raises(TooFewCells, match="an update goes into one sum"):
        place.asked(task, "round")  # cell-a has signed that it adds up with both
    place.back("cell-c")
    total = place.asked(task, "round")
    plain = secure_cells(tmp_path)
    plain_sums(plain, begun("run-two"), tuple(THREE))
    require_equal(total.sums, plain_sums(plain, task, tuple(THREE)), task)
    assert total.cells == tuple(THREE)
    assert list(place.given("cell-a").values())[-1] == list(THREE)
