"""The transport to cells that are other processes: a round is a task to each, and the sum of their updates.

Which messages of Flower carry a task is `training.federation.grid_exchange`; how sums are added,
`training.federation.adding`.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.vocabulary import ItemVocabulary
from training.client_update import ClientUpdate
from training.compression.announcement import Announcement
from training.evaluation import Quality
from training.federation.adding import Adding, Total, plainly
from training.federation.compressed_rounds import compressed_task
from training.federation.errors import TooFewCells
from training.federation.exchange import Exchange
from training.federation.forms import ADOPTION, form_of
from training.federation.sums import to_update
from training.federation.tasks import (
    AdoptionTask,
    EvaluationTask,
    LossSettings,
    PopulationTask,
    RoundTask,
    TaskMessage,
)
from training.federation.wire import item_ids_to_array
from training.transport import Cohorts

_LOG = logging.getLogger("training.federation")
_PAUSE_SECONDS = 2.0  # before asking again


@dataclass(slots=True)
class Traffic:
    """Bytes of messages so far, as they are on the wire but for what Flower adds.

    downlink: from the server to cells. uplink: from cells to the server.
    missed: what cells had no part in, or not to its end, in words: what it was, the cell, the reason.
    """

    downlink: int = 0
    uplink: int = 0
    missed: list[tuple[str, str, str]] = field(default_factory=list)

    def count(self, about: str, total: Total) -> None:
        """Add those of one total."""
        self.downlink += total.downlink_bytes
        self.uplink += total.uplink_bytes
        self.missed += [(about, cell, why) for cell, why in sorted(total.failures.items())]


@dataclass(frozen=True, slots=True)
class TakenUp:
    """Cells that take part in a run.

    cells: their names. items: of the run. clients, judged: people, of all of them, who can train and who can be judged.
    new_items: items met since the time asked about, added up over people. judged_new: people who can be judged by them.
    """

    cells: tuple[str, ...]
    items: int
    clients: int
    judged: int
    new_items: int = 0
    judged_new: int = 0


def take_up(
    exchange: Exchange,
    run_id: str,
    vocabulary: ItemVocabulary,
    held_out: float,
    quorum: int,
    traffic: Traffic,
    patience_seconds: float = 0.0,
    adding: Adding = plainly,
    since: float = 0.0,
    *,
    private: bool = False,
) -> TakenUp:
    """Let the cells that are there take up a run.

    patience_seconds: as of `FlowerTransport`.
    since: the time that what is new is counted from, in seconds since 1970; private runs do not ask.
    private: ask for nothing but how many people there are.

    Raises:
        TooFewCells: fewer than `quorum` did.
    """

    def ask() -> Total:
        return adding(exchange, exchange.cells(), task, form_of(task), quorum, "the start of the run")

    header = PopulationTask(run_id=run_id, held_out=held_out, since=0.0 if private else since, private=private)
    task = TaskMessage(header, {"item_ids": item_ids_to_array(vocabulary)})
    total = _patiently(ask, patience_seconds)
    _count("the start of the run", total, traffic)
    numbers = {name: round(number) for name, number in total.sums.numbers.items()}
    _LOG.info("%d cells take part: %s", len(total.cells), numbers)
    taken = {name: numbers.get(name, 0) for name in ("clients", "judged", "new_items", "judged_new")}
    return TakenUp(total.cells, len(vocabulary), **taken)


class Judged(NamedTuple):
    """Quality, and the cells whose people it is of."""

    quality: Quality
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlowerTransport:
    """The transport (`training.transport.Transport`) of one run.

    exchange: reaches the cells.
    run_id: what they know the run by.
    taken_up: which of them take part; one that comes later does so in the next run.
    quorum: the fewest whose sums make a round.
    patience_seconds: for how long a round that lacks its quorum is tried again; a cell that was killed is back within
        seconds, or a minute. It is the same round, of the same people: asked twice, it says no more than once.
    """

    exchange: Exchange
    run_id: str
    taken_up: TakenUp
    cohorts: Cohorts
    loss: LossSettings
    quorum: int
    traffic: Traffic = field(default_factory=Traffic)
    patience_seconds: float = 0.0
    adding: Adding = plainly

    def round(self, round_number: int, sent: Float32Array | Announcement) -> ClientUpdate:
        """See `Transport.round`. Whoever is late, or gone, is left out of the round.

        Raises:
            TooFewCells: fewer than the quorum are there, or answered in time.
        """
        if isinstance(sent, Announcement):
            task = compressed_task(sent, self.run_id, round_number, self.cohorts.population, self.loss)
            return to_update(self._total(task, round_number).sums)
        header = RoundTask(
            run_id=self.run_id,
            round_number=round_number,
            cohort=self.cohorts.size,
            population=self.cohorts.population,
            seed=self.cohorts.seed,
            loss=self.loss,
        )
        total = self._total(TaskMessage(header, {"item_vectors": sent}), round_number)
        return to_update(total.sums)

    def evaluate(self, sent: Float32Array, discounts: Float32Array, most: int, round_number: int) -> Quality:
        """The quality of item vectors on what the cells hold out; see `judge`."""
        return self.judge(sent, discounts, self.loss, most, round_number).quality

    def judge(
        self,
        sent: Float32Array,
        discounts: Float32Array,
        loss: LossSettings,
        most: int,
        round_number: int,
        since: float = 0.0,
    ) -> Judged:
        """The quality of any item vectors on what the cells hold out.

        Args:
            sent: Q, shape (items, dim); or the vectors of the run's first items, where a checkpoint knows no others.
            discounts: what each item's scores are multiplied by, shape as Q has rows.
            loss: the weights that people are folded in by.
            most: judge about so many people; 0 is everybody.
            round_number: rounds done, for the log.
            since: judge by held-out items met then or later; the other held-out ones are left out of the ranking.

        Raises:
            TooFewCells: as of a round.
        """
        population = self.cohorts.population
        header = EvaluationTask(run_id=self.run_id, loss=loss, most=most, population=population, since=since)
        task = TaskMessage(header, {"item_vectors": sent, "item_discounts": discounts})
        total = self._total(task, round_number)
        sums = total.sums
        people = sums.numbers["people"]
        quality = Quality(
            recall=sums.numbers["recall"] / people,
            ndcg=sums.numbers["ndcg"] / people,
            hr_10=sums.numbers["hr_10"] / people,
            coverage=np.count_nonzero(sums.arrays["shown"] > 0) / self.taken_up.items,
            users=round(people),
        )
        return Judged(quality, total.cells)

    def adopt(self, checkpoint_id: str) -> Mapping[str, int]:
        """Let cells fold their people in on the checkpoint that was promoted; how many people, by what became of them.

        Raises:
            TooFewCells: not one cell did. Who did not folds people in as they ask (`feature_store.refold`).
        """
        task = TaskMessage(AdoptionTask(checkpoint_id=checkpoint_id))
        total = self.adding(self.exchange, self._present(1), task, ADOPTION, 1, "the adoption")
        _count("the adoption", total, self.traffic)
        return {name: round(number) for name, number in total.sums.numbers.items()}

    def of_all(self, task: TaskMessage, about: str) -> Total:
        """The total of a task that all cells of the run are asked, those that are away as well.

        So what cells agree on beforehand is the same however many are there.

        Raises:
            TooFewCells: as of a round.
        """

        def ask() -> Total:
            return self.adding(self.exchange, self.taken_up.cells, task, form_of(task), self.quorum, about)

        total = _patiently(ask, self.patience_seconds)
        _count(about, total, self.traffic)
        return total

    def _total(self, task: TaskMessage, round_number: int) -> Total:
        about = f"round {round_number + 1}" if task.header.kind in {"round", "compressed"} else task.header.kind

        def ask() -> Total:
            return self.adding(self.exchange, self._present(self.quorum), task, form_of(task), self.quorum, about)

        total = _patiently(ask, self.patience_seconds)
        _count(about, total, self.traffic)
        return total

    def _present(self, quorum: int) -> tuple[str, ...]:
        there = set(self.exchange.cells())
        present = tuple(cell for cell in self.taken_up.cells if cell in there)
        if len(present) < quorum:
            raise TooFewCells(
                f"{quorum} of the run's cells are needed ({', '.join(self.taken_up.cells)}); "
                f"there are {', '.join(present) or 'none'}"
            )
        return present


def _patiently(ask: Callable[[], Total], seconds: float) -> Total:
    """What it gives, asked again for so long while there are too few cells: from when there were, not from asking.

    An attempt that waits for late cells takes its deadline, which may be longer than the patience.
    """
    until = math.inf
    while True:
        try:
            return ask()
        except TooFewCells as error:
            until = min(until, time.monotonic() + seconds)
            if time.monotonic() + _PAUSE_SECONDS > until:
                raise
            _LOG.warning("asking again: %s", error)
        time.sleep(_PAUSE_SECONDS)


def _count(about: str, total: Total, traffic: Traffic) -> None:
    traffic.count(about, total)
    for cell, why in total.failures.items():
        _LOG.warning("%s, %s: %s", about, cell, why)
