"""A transport: it carries what the server broadcasts to the cells of a round, and the sum of their updates back.

The loop knows one of these and nothing of where its clients are. `Simulation` computes them in this process; the
transport of `training.federation` goes to cells that are other processes on other machines. Who takes part is decided
in the cell, by the same function in both.
"""

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol

import numpy as np

from feature_store.arrays import Int64Array
from feature_store.errors import BadInput
from training.algorithm import Algorithm, Data, Sent, Sent_contra
from training.client_update import ClientUpdate
from training.cohort import groups, sample_cohort
from training.histories import Chosen


class Transport(Protocol[Sent_contra]):
    """Carries rounds."""

    def round(self, round_number: int, sent: Sent_contra) -> ClientUpdate:
        """One update made of those of a cohort.

        Args:
            round_number: rounds done before.
            sent: what every client of the round receives.

        Raises:
            BadInput: nobody takes part.
        """


class Cell(NamedTuple, Generic[Data]):
    """Clients in one place.

    data: what each client has to train on.
    clients: the numbers in `data` of those that can take part, ascending.
    """

    data: Sequence[Data]
    clients: Int64Array


class Cohorts(NamedTuple):
    """How cohorts are drawn.

    size: clients a round, of all cells together; all of them where there are fewer.
    population: clients that can take part, in all cells.
    seed: of the draws.
    """

    size: int
    population: int
    seed: int

    def of_cell(self, clients: Int64Array, round_number: int) -> Int64Array:
        """Those of a cell's clients that take part in that round: as large a share as of all, rounded up."""
        size = -(-min(self.size, self.population) * len(clients) // self.population)
        return sample_cohort(clients, size, self.seed, round_number)


class Simulation(NamedTuple, Generic[Sent, Data]):
    """The transport to cells in this process."""

    algorithm: Algorithm[Sent, Data]
    cells: Sequence[Cell[Data]]
    cohorts: Cohorts

    def round(self, round_number: int, sent: Sent) -> ClientUpdate:
        """See `Transport.round`."""
        rule, seed = self.algorithm.aggregation, self.cohorts.seed
        return rule.aggregate(
            self.algorithm.client_update(sent, Chosen(cell.data, group))
            for cell in self.cells
            for group in groups(self.cohorts.of_cell(cell.clients, round_number), rule.group_size, seed, round_number)
        )


def simulation(
    algorithm: Algorithm[Sent, Data], data: Sequence[Data], clients: Int64Array, cohort: int, seed: int, cells: int = 1
) -> Simulation[Sent, Data]:
    """Everybody in one cell, or at random in several.

    Args:
        algorithm: what clients do, and how their updates become one.
        data: what each client has to train on.
        clients: the numbers in `data` of those that can take part, ascending; the population.
        cohort: clients a round; all of them where there are fewer.
        seed: of the cohorts, and of who is in which cell.
        cells: how many; each has one client at the least.
    """
    if not len(clients):
        raise BadInput("a population has at least one client")
    if cells == 1:
        return Simulation(algorithm, [Cell(data, clients)], Cohorts(cohort, len(clients), seed))
    parts = np.array_split(np.random.default_rng([seed, cells]).permutation(clients), min(cells, len(clients)))
    return Simulation(algorithm, [Cell(data, np.sort(part)) for part in parts], Cohorts(cohort, len(clients), seed))
