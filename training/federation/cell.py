"""The cell: what a place that holds people's data does when the server asks, without TensorFlow.

Its people's events and embeddings stay in its stores. It draws its own part of a cohort, computes the update of that,
and answers with sums only; sums over fewer people than its minimum it does not give.
"""

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from feature_store.durable import replace
from feature_store.errors import BadInput, HearthError
from feature_store.refold import refold
from feature_store.registry import Registry
from feature_store.stores import LocalStores
from training.evaluation import fold_in_scorer, rank_everybody
from training.federation.errors import FederationError, Refused, TooFewPeople
from training.federation.people import People, read_people
from training.federation.sums import Sums, of_update
from training.federation.tasks import (
    AdoptionTask,
    Arrays,
    EvaluationTask,
    PopulationTask,
    RefusalHeader,
    ReplyMessage,
    RoundTask,
    SumsHeader,
    TaskMessage,
)
from training.federation.wire import item_ids_from_array, reply_to_bytes, task_from_bytes, task_to_bytes
from training.histories import Chosen
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
    """

    def __init__(
        self, stores: LocalStores, registry: Registry | None, folder: Path, least_people: int = LEAST_PEOPLE
    ) -> None:
        if least_people < 2:
            raise BadInput(f"a sum over one person is that person's: least_people is at least 2; got {least_people}")
        self._stores, self._registry, self._least = stores, registry, least_people
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

    async def sums(self, task: TaskMessage) -> Sums:
        """What a task asks for, over this cell's people: before anything masks it, if anything does.

        Raises:
            Refused: this cell will not do that; TooFewPeople is one reason.
            HearthError: the store or the registry cannot be read, or the task is not acceptable.
        """
        header = task.header
        match header:
            case PopulationTask():
                return await self._begin(task, header)
            case RoundTask():
                people = (await self._taken_up(header.run_id, task.arrays)).people
                return await asyncio.to_thread(round_sums, people, header, task.arrays, self._least)
            case EvaluationTask():
                people = (await self._taken_up(header.run_id, task.arrays)).people
                return await asyncio.to_thread(evaluation_sums, people, header, task.arrays, self._least)
            case AdoptionTask():
                return await self._adopt(header)

    async def _begin(self, task: TaskMessage, header: PopulationTask) -> Sums:
        vocabulary = item_ids_from_array(task.arrays["item_ids"])
        people = await read_people(self._stores.events, vocabulary, header.held_out)
        _require_people(len(people.clients), self._least)
        self._run = _Run(header.run_id, len(vocabulary), people)
        await asyncio.to_thread(replace, self._begun, task_to_bytes(task), 0o600)
        counted = {"clients": len(people.clients), "judged": len(people.judged)}
        left_out = {"unknown_items": people.unknown_items, "unreadable": people.unreadable}
        return Sums({name: float(number) for name, number in (counted | left_out).items()}, {})

    async def _taken_up(self, run_id: str, arrays: Arrays) -> _Run:
        """The run of that id, taken up anew where this process has been started since."""
        if self._run is None and self._begun.exists():
            begun = task_from_bytes(await asyncio.to_thread(self._begun.read_bytes))
            if isinstance(begun.header, PopulationTask):
                await self._begin(begun, begun.header)
        if self._run is None or self._run.run_id != run_id:
            held = "none" if self._run is None else self._run.run_id
            raise Refused(f"this cell has taken up run {held}; the task is of run {run_id}")
        vectors = arrays["item_vectors"]
        if len(vectors) != self._run.items or not vectors.size:
            raise Refused(f"item vectors of the run's {self._run.items} items are due; got the shape {vectors.shape}")
        if (largest := float(np.abs(vectors).max())) > _LARGEST:
            raise Refused(f"the numbers of item vectors are at most {_LARGEST:g}; got {largest:g}")
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


def round_sums(people: People, task: RoundTask, arrays: Arrays, least: int) -> Sums:
    """The update of this cell's part of the cohort.

    Raises:
        TooFewPeople: that part is smaller than `least`.
    """
    cohort = Cohorts(task.cohort, task.population, task.seed).of_cell(people.clients, task.round_number)
    _require_people(len(cohort), least)
    loss = task.loss
    vectors, histories = arrays["item_vectors"], Chosen(people.train, cohort)
    return of_update(streamed_update(vectors, histories, loss.fold_in, activity_exponent=loss.activity_exponent))


def evaluation_sums(people: People, task: EvaluationTask, arrays: Arrays, least: int) -> Sums:
    """How well those with held-out items are served, as `training.evaluation.evaluate` measures it, summed.

    Raises:
        TooFewPeople: fewer than `least` are judged.
    """
    vectors, discounts = arrays["item_vectors"], arrays["item_discounts"]
    if discounts.shape != vectors.shape[:1]:
        raise Refused(f"a discount for each of {len(vectors)} items is due; got {len(discounts)}")
    most = -(-task.most * len(people.clients) // task.population)
    judged = len(people.judged)
    _require_people(min(judged, most) if most else judged, least)
    recall, ndcg, hr_10, count = 0.0, 0.0, 0.0, 0
    shown = np.zeros(len(vectors), np.float32)
    score = fold_in_scorer(vectors, people.train, task.loss.fold_in, None, discounts)
    for ranked in rank_everybody(score, len(vectors), people.held_out, [people.train], most):
        recall += float(ranked.recall.sum())
        ndcg += float(ranked.ndcg.sum())
        hr_10 += float(ranked.hr_10.sum())
        count += len(ranked.clients)
        np.add.at(shown, ranked.top[ranked.is_there], np.float32(1))
    return Sums({"recall": recall, "ndcg": ndcg, "hr_10": hr_10, "people": float(count)}, {"shown": shown})


def _require_people(count: int, least: int) -> None:
    """Raise `TooFewPeople`. How many there are is not said: it would be a sum over them."""
    if count < least:
        raise TooFewPeople(f"this cell gives no sums over fewer than {least} people")
