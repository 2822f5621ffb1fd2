"""The transport to cells that are other processes: a round is a task to each, and the sum of their updates.

Which messages of Flower carry a task is `training.federation.grid_exchange`; how sums are added,
`training.federation.adding`.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.vocabulary import ItemVocabulary
from training.client_update import ClientUpdate
from training.evaluation import Quality
from training.federation.adding import Adding, Total, plainly
from training.federation.errors import TooFewCells
from training.federation.exchange import Exchange
from training.federation.sums import ADOPTION, POPULATION, Form, evaluation_form, round_form, to_update
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
    """

    downlink: int = 0
    uplink: int = 0

    def count(self, total: Total) -> None:
        """Add those of one total."""
        self.downlink += total.downlink_bytes
        self.uplink += total.uplink_bytes


@dataclass(frozen=True, slots=True)
class TakenUp:
    """Cells that take part in a run.

    cells: their names. clients, judged: people, of all of them, who can train and who can be judged.
    """

    cells: tuple[str, ...]
    clients: int
    judged: int


def take_up(
    exchange: Exchange,
    run_id: str,
    vocabulary: ItemVocabulary,
    held_out: float,
    quorum: int,
    traffic: Traffic,
    patience_seconds: float = 0.0,
    adding: Adding = plainly,
) -> TakenUp:
    """Let the cells that are there take up a run.

    patience_seconds: as of `FlowerTransport`.

    Raises:
        TooFewCells: fewer than `quorum` did.
    """

    def ask() -> Total:
        return adding(exchange, exchange.cells(), task, POPULATION, quorum, "the start of the run")

    task = TaskMessage(PopulationTask(run_id=run_id, held_out=held_out), {"item_ids": item_ids_to_array(vocabulary)})
    total = _patiently(ask, patience_seconds)
    _count("the start of the run", total, traffic)
    numbers = {name: round(number) for name, number in total.sums.numbers.items()}
    _LOG.info("%d cells take part: %s", len(total.cells), numbers)
    return TakenUp(total.cells, numbers["clients"], numbers["judged"])


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

    def round(self, round_number: int, sent: Float32Array) -> ClientUpdate:
        """See `Transport.round`. Whoever is late, or gone, is left out of the round.

        Raises:
            TooFewCells: fewer than the quorum are there, or answered in time.
        """
        header = RoundTask(
            run_id=self.run_id,
            round_number=round_number,
            cohort=self.cohorts.size,
            population=self.cohorts.population,
            seed=self.cohorts.seed,
            loss=self.loss,
        )
        total = self._total(TaskMessage(header, {"item_vectors": sent}), round_form(*sent.shape), round_number)
        return to_update(total.sums)

    def evaluate(self, sent: Float32Array, discounts: Float32Array, most: int, round_number: int) -> Quality:
        """The quality of item vectors on what the cells hold out.

        Args:
            sent: Q, shape (items, dim).
            discounts: what each item's scores are multiplied by, shape (items,).
            most: judge about so many people; 0 is everybody.
            round_number: rounds done, for the log.

        Raises:
            TooFewCells: as of a round.
        """
        header = EvaluationTask(run_id=self.run_id, loss=self.loss, most=most, population=self.cohorts.population)
        task = TaskMessage(header, {"item_vectors": sent, "item_discounts": discounts})
        sums = self._total(task, evaluation_form(len(sent)), round_number).sums
        people = sums.numbers["people"]
        return Quality(
            recall=sums.numbers["recall"] / people,
            ndcg=sums.numbers["ndcg"] / people,
            hr_10=sums.numbers["hr_10"] / people,
            coverage=float(np.mean(sums.arrays["shown"] > 0)),
            users=round(people),
        )

    def adopt(self, checkpoint_id: str) -> Mapping[str, int]:
        """Let cells fold their people in on the checkpoint that was promoted; how many people, by what became of them.

        Raises:
            TooFewCells: not one cell did. Who did not folds people in as they ask (`feature_store.refold`).
        """
        task = TaskMessage(AdoptionTask(checkpoint_id=checkpoint_id))
        total = self.adding(self.exchange, self._present(1), task, ADOPTION, 1, "the adoption")
        _count("the adoption", total, self.traffic)
        return {name: round(number) for name, number in total.sums.numbers.items()}

    def _total(self, task: TaskMessage, form: Form, round_number: int) -> Total:
        about = f"round {round_number + 1}" if task.header.kind == "round" else task.header.kind

        def ask() -> Total:
            return self.adding(self.exchange, self._present(self.quorum), task, form, self.quorum, about)

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
    """What it gives, asked again for so long while there are too few cells."""
    until = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except TooFewCells as error:
            if time.monotonic() + _PAUSE_SECONDS > until:
                raise
            _LOG.warning("asking again: %s", error)
        time.sleep(_PAUSE_SECONDS)


def _count(about: str, total: Total, traffic: Traffic) -> None:
    traffic.count(total)
    for cell, why in total.failures.items():
        _LOG.warning("%s without %s: %s", about, cell, why)
