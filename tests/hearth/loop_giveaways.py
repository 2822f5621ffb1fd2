"""What of a closed loop is somebody's: bytes that went by or lie about, and the numbers that are not to be in them.

Sums of cells and of people, and embeddings, are computed once more from the cells' stores and from what was asked.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from feature_store.arrays import Float32Array
from feature_store.encryption import own_keys
from feature_store.fold_in import fold_in
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores
from tests.hearth.closed_loop import WHO, Loop, cell_of
from tests.hearth.watched_federation import CELLS, LEAST_PEOPLE
from tests.training.federation.trainer_proxies import Passed
from training.federation.cell import TrainingCell
from training.federation.draws import own_secret
from training.federation.fixed_sums import layout_of, to_values
from training.federation.forms import form_of
from training.federation.people import People, read_people
from training.federation.secure_adding import STAGES
from training.federation.sums import of_update
from training.federation.tasks import EvaluationTask, PopulationTask, RoundTask, TaskMessage
from training.federation.wire import item_ids_from_array, task_to_bytes
from training.secure_aggregation.fixed_point import encode
from training.streaming import streamed_update


def crossed(loop: Loop) -> list[bytes]:
    """Every byte between the trainers and what carries it to the centre."""
    return loop.watched.proxies.seen()


def outside(loop: Loop) -> list[bytes]:
    """What lies outside the cells: the SuperLink's state, requests and outcomes, checkpoints, reports, logs."""
    return [file.read_bytes() for file in loop.watched.outside()]


def tasks_in(passed: list[Passed]) -> list[TaskMessage]:
    """Each task that cells were given, once, in their order."""
    tasks = {task_to_bytes(task): task for one in passed if one.stage == STAGES[2] and (task := one.task)}
    return list(tasks.values())


def in_store(loop: Loop, name: str, use: Any) -> Any:
    """What comes of the stores of that cell."""
    cell = loop.watched.layout.cell(name)

    async def used() -> Any:
        async with open_sqlite(cell.store, own_keys(cell.store_keys)) as stores:
            return await use(stores)

    return asyncio.run(used())


def sums_of(loop: Loop, name: str, passed: list[Passed]) -> list[tuple[Any, Any]]:
    """What that cell added, computed once more from its store: sums, and the words that masks were put on."""
    asked = tasks_in([one for one in passed if one.cell == name])
    draws = own_secret(loop.watched.layout.cell(name).trainer_folder / "draws.key")

    async def computed(stores: LocalStores) -> list[tuple[Any, Any]]:
        folder = loop.watched.place / f"again-{name}"
        folder.mkdir(exist_ok=True)
        cell, found = TrainingCell(stores, None, folder, LEAST_PEOPLE, draws=draws), []
        for task in asked:
            if isinstance(task.header, PopulationTask):
                await cell.sums(task)
            if isinstance(task.header, RoundTask | EvaluationTask):
                form, sums = form_of(task), await cell.sums(task, 2)
                layout = layout_of(form, len(CELLS))
                found.append((sums, encode(to_values(sums, form, len(CELLS)), layout, len(CELLS))))
        return found

    found: list[tuple[Any, Any]] = in_store(loop, name, computed)
    assert len(found) >= 2 + 2  # the rounds, and what was judged
    return found


def people_of(loop: Loop, name: str, task: TaskMessage, held_out: float) -> People:
    """The people of that cell, as the run that began with this task has them."""
    vocabulary = item_ids_from_array(task.arrays["item_ids"])
    found: People = in_store(loop, name, lambda stores: read_people(stores.events, vocabulary, held_out))
    return found


def persons_sums(loop: Loop, passed: list[Passed]) -> Iterator[tuple[str, Float32Array]]:
    """What each person alone would add to each round."""
    (begin, *tasks) = tasks_in(passed)
    assert isinstance(begin.header, PopulationTask)
    for name in CELLS:
        people = people_of(loop, name, begin, begin.header.held_out)
        for task in tasks:
            if not isinstance(task.header, RoundTask):
                continue
            loss = task.header.loss
            for number, rows in enumerate(people.train):
                one = streamed_update(
                    task.arrays["item_vectors"],
                    [rows],
                    loss.fold_in,
                    activity_exponent=loss.activity_exponent,
                    bound=loss.bound,
                )
                for what, array in of_update(one).arrays.items():
                    yield f"{what} of person {number} of {name}", array


def embeddings(loop: Loop) -> Iterator[tuple[str, Float32Array]]:
    """Everybody's, by all item vectors that were sent, from what they had met then; and those that cells keep."""
    checkpoints = [loop.first, loop.second["candidate"]]
    for name in CELLS:
        here = [who for who in WHO if cell_of(who) == name]

        async def kept(stores: LocalStores, here: list[str] = here) -> list[Any]:
            return [found for one in checkpoints for found in await stores.embeddings.get_many(here, one)]

        vectors = [found.vector for found in in_store(loop, name, kept) if found is not None]
        assert len(vectors) >= len(here)  # of the checkpoint in production at the least
        yield from ((f"kept in {name}", vector) for vector in vectors)
    tasks = tasks_in(loop.watched.proxies.passed)
    begins = [task for task in tasks if isinstance(task.header, PopulationTask)]
    for name in CELLS:
        peoples = [people_of(loop, name, begin, share) for begin in begins for share in (0.0, 0.1)]
        for task in tasks:
            if isinstance(task.header, RoundTask | EvaluationTask):
                sent = task.arrays["item_vectors"]
                gram = sent.T @ sent
                for people in peoples:
                    for rows in people.train:
                        if len(rows) and rows.max() < len(sent):
                            yield f"folded in in {name}", fold_in(sent, gram, rows, task.header.loss.fold_in)
