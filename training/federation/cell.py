"""The cell: what a place that holds people's data does when the server asks, without TensorFlow.

Its people's events and embeddings stay in its stores. It draws its own part of a cohort, computes the update of that,
and answers with sums only; sums over fewer people than its minimum it does not give.
"""

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array, Int64Array
from feature_store.durable import replace
from feature_store.errors import BadInput, HearthError
from feature_store.refold import refold
from feature_store.registry import Registry
from feature_store.stores import LocalStores
from training.evaluation import fold_in_scorer, rank_everybody
from training.federation.compressed_rounds import announcement_of, compressed_sums
from training.federation.draws import own_seed
from training.federation.errors import FederationError, Refused, TooFewPeople
from training.federation.people import People, read_people
from training.federation.private_cell import CellReleases
from training.federation.run_rules import RunRules
from training.federation.sums import Sums, of_update
from training.federation.tasks import (
    AdoptionTask,
    Arrays,
    CompressedTask,
    EvaluationTask,
    PopulationTask,
    PrivateTask,
    RefusalHeader,
    ReplyMessage,
    RoundTask,
    SumsHeader,
    TaskMessage,
)
from training.federation.wire import item_ids_from_array, reply_to_bytes, task_from_bytes, task_to_bytes
from training.histories import Chosen, Histories
from training.streaming import streamed_update
from training.transport import Cohorts

_LOG = logging.getLogger("training.federation")
_LARGEST = 1e6  # in an item vector, whose scores are near 1: above that float32 carries no sum

LEAST_PEOPLE = 20
"""People below whom a cell gives no sum, where its settings do not say otherwise."""


class _Run(NamedTuple):
    """What a cell knows of the run that it takes part in."""

    run_id: str
    items: int
    people: People


class TrainingCell:
    """One place that holds people's data.

    stores: its people's.
    registry: where promoted checkpoints are read from, with the keys that this cell trusts; None adopts none.
    folder: what outlives the process: the task that the present run began with, which says nothing of people.
    least_people: see `LEAST_PEOPLE`.
    releases: of noised sums, and the budget they keep to; by default in that folder, and without one.
    draws: the cell's secret (`training.federation.draws`); None draws cohorts by the announced seed, as a simulation.
    """

    def __init__(
        self,
        stores: LocalStores,
        registry: Registry | None,
        folder: Path,
        least_people: int = LEAST_PEOPLE,
        releases: CellReleases | None = None,
        draws: bytes | None = None,
    ) -> None:
        if least_people < 2:
            raise BadInput(f"a sum over one person is that person's: least_people is at least 2; got {least_people}")
        self._stores, self._registry, self._least = stores, registry, least_people
        self._releases, self._draws = releases or CellReleases(folder), draws
        self._rules = RunRules(folder / "runs.json")
        self._begun = folder / "run.safetensors"
        self._run: _Run | None = None

    async def answer(self, content: bytes) -> bytes:
        """The reply to a task, both as messages; what is wrong with a task is a refusal."""
        try:
            task = task_from_bytes(content)
            sums = await self.sums(task)
        except FederationError as error:
            return reply_to_bytes(ReplyMessage(RefusalHeader(error=type(error).__name__, reason=str(error)[:1000])))
        except HearthError as error:  # its words may be of this place's files, or of somebody's data: they stay here
            _LOG.warning("a task was not done: %s: %s", type(error).__name__, error)
            reason = "the cell's own log says more"
            return reply_to_bytes(ReplyMessage(RefusalHeader(error=type(error).__name__, reason=reason)))
        return reply_to_bytes(ReplyMessage(SumsHeader(of=task.header.kind, numbers=sums.numbers), sums.arrays))

    async def sums(self, task: TaskMessage, together: int = 1) -> Sums:
        """What a task asks for, over this cell's people: before anything masks it, if anything does.

        together: the sums of so many cells at the least come to be known as one; 1 where nothing masks them.

        Raises:
            Refused: this cell will not do that; TooFewPeople is one reason.
            HearthError: the store or the registry cannot be read, or the task is not acceptable.
        """
        self._releases.require_allowed(task.header)
        sums = await self._computed(task, together)
        await asyncio.to_thread(self._rules.require, task)  # of what is refused nothing is let out, and nothing kept
        return sums

    async def _computed(self, task: TaskMessage, together: int) -> Sums:
        match header := task.header:
            case PopulationTask():
                return await self._begin(task, header)
            case PrivateTask():
                run = await self._current(header.run_id)
                return await asyncio.to_thread(self._releases.release, run.people, run.items, task, header, together)
            case RoundTask():
                people = (await self._taken_up(header.run_id, task.arrays)).people
                seed = own_seed(self._draws, header)
                return await asyncio.to_thread(round_sums, people, header, task.arrays, self._least, seed)
            case CompressedTask():
                asked = announcement_of(header, task.arrays)
                people = (await self._taken_up(header.run_id, {"item_vectors": asked.vectors})).people
                return await asyncio.to_thread(compressed_sums, people, header, asked)
            case EvaluationTask():
                run = await self._taken_up(header.run_id, task.arrays, whole=False)
                return await asyncio.to_thread(evaluation_sums, run.people, run.items, header, task.arrays, self._least)
            case AdoptionTask():
                return await self._adopt(header)

    async def _begin(self, task: TaskMessage, header: PopulationTask) -> Sums:
        vocabulary = item_ids_from_array(task.arrays["item_ids"])
        people = await read_people(self._stores.events, vocabulary, header.held_out, header.since)
        # Where sums are private, how many people a store has is public, and how many have met an item of a vocabulary
        # that the server chooses is not.
        clients = len(people.train) if header.private else len(people.clients)
        _require_people(clients, self._least)
        self._run = _Run(header.run_id, len(vocabulary), people)
        await asyncio.to_thread(replace, self._begun, task_to_bytes(task), 0o600)
        if header.private:
            return Sums({"clients": float(clients)}, {})
        judged_new = int(np.count_nonzero(people.held_out_since(header.since)[0].lengths))
        counted = {"clients": clients, "judged": len(people.judged)}
        counted |= {"judged_new": judged_new, "new_items": people.new_items}
        left_out = {"unknown_items": people.unknown_items, "unreadable": people.unreadable}
        return Sums({name: float(number) for name, number in (counted | left_out).items()}, {})

    async def _taken_up(self, run_id: str, arrays: Arrays, *, whole: bool = True) -> _Run:
        """The run of that id, for item vectors that it can compute with.

        whole: the item vectors are of all its items, and not of the first ones alone.
        """
        run, vectors = await self._current(run_id), arrays["item_vectors"]
        if len(vectors) > run.items or (whole and len(vectors) < run.items) or not vectors.size:
            raise Refused(f"item vectors of the run's {run.items} items are due; got the shape {vectors.shape}")
        if (largest := float(np.abs(vectors).max())) > _LARGEST:
            raise Refused(f"the numbers of item vectors are at most {_LARGEST:g}; got {largest:g}")
        return run

    async def _current(self, run_id: str) -> _Run:
        """The run of that id, taken up anew where this process has been started since."""
        if self._run is None and self._begun.exists():
            begun = task_from_bytes(await asyncio.to_thread(self._begun.read_bytes))
            if isinstance(begun.header, PopulationTask):
                await self._begin(begun, begun.header)
        if self._run is None or self._run.run_id != run_id:
            held = "none" if self._run is None else self._run.run_id
            raise Refused(f"this cell has taken up run {held}; the task is of run {run_id}")
        return self._run

    async def _adopt(self, task: AdoptionTask) -> Sums:
        if self._registry is None:
            raise Refused("this cell reads no registry; its settings name none")
        production = await asyncio.to_thread(self._registry.production)
        if production != task.checkpoint_id:
            raise Refused(f"{task.checkpoint_id} is not in production; {production} is")
        checkpoint = await asyncio.to_thread(self._registry.load, task.checkpoint_id)
        done = await refold(self._stores, checkpoint)
        _require_people(done.people, self._least)
        return Sums({"people": float(done.people), "folded": float(done.folded), "failed": float(done.failed)}, {})


def round_sums(people: People, task: RoundTask, arrays: Arrays, least: int, seed: int) -> Sums:
    """The update of this cell's part of the cohort.

    seed: of the draw.

    Raises:
        TooFewPeople: that part is smaller than `least`.
    """
    cohort = Cohorts(task.cohort, task.population, seed).of_cell(people.clients, task.round_number)
    _require_people(len(cohort), least)
    loss = task.loss
    vectors, histories = arrays["item_vectors"], Chosen(people.train, cohort)
    update = streamed_update(
        vectors, histories, loss.fold_in, activity_exponent=loss.activity_exponent, bound=loss.bound
    )
    return of_update(update)


def evaluation_sums(people: People, items: int, task: EvaluationTask, arrays: Arrays, least: int) -> Sums:
    """How well those with held-out items are served, as `training.evaluation.evaluate` measures it, summed.

    items: of the run; the item vectors may be of the first ones alone, and the others are then never ranked.

    Raises:
        TooFewPeople: fewer than `least` are judged.
    """
    vectors, discounts = arrays["item_vectors"], arrays["item_discounts"]
    if discounts.shape != vectors.shape[:1]:
        raise Refused(f"a discount for each of {len(vectors)} items is due; got {len(discounts)}")
    most = -(-task.most * len(people.clients) // task.population)
    wanted, older = people.held_out_since(task.since)
    judged = int(np.count_nonzero(wanted.lengths))
    if 2 * most > judged:  # everybody else's sums would be the difference of two evaluations
        most = 0
    _require_people(min(judged, most) if most else judged, least)
    recall, ndcg, hr_10, count = 0.0, 0.0, 0.0, 0
    shown = np.zeros(len(vectors), np.float32)
    known = fold_in_scorer(vectors, _rows_below(len(vectors), people.train), task.loss.fold_in, None, discounts)

    def score(clients: Int64Array) -> Float32Array:
        scores = known(clients)
        return np.pad(scores, ((0, 0), (0, items - len(vectors))), constant_values=np.float32(-np.inf))

    for ranked in rank_everybody(score, items, wanted, [people.train, older], most):
        recall += float(ranked.recall.sum())
        ndcg += float(ranked.ndcg.sum())
        hr_10 += float(ranked.hr_10.sum())
        count += len(ranked.clients)
        np.add.at(shown, ranked.top[ranked.is_there], np.float32(1))
    return Sums({"recall": recall, "ndcg": ndcg, "hr_10": hr_10, "people": float(count)}, {"shown": shown})


def _rows_below(items: int, histories: Histories) -> Histories:
    """What of everybody's history a checkpoint of the first so many items knows."""
    if not histories.rows.size or histories.rows.max() < items:
        return histories
    return Histories.of(rows[rows < items] for rows in histories)


def _require_people(count: int, least: int) -> None:
    """Raise `TooFewPeople`. How many there are is not said: it would be a sum over them."""
    if count < least:
        raise TooFewPeople(f"this cell gives no sums over fewer than {least} people")
