"""The cohort: which clients take part in a round, and with whom each is summed."""

import numpy as np

from feature_store.arrays import Int64Array
from feature_store.errors import BadInput
from training.histories import Histories


def population(train: Histories) -> Int64Array:
    """The clients that have something to train on, ascending; raises `BadInput` where nobody has."""
    clients = np.flatnonzero(train.lengths)
    if not clients.size:
        raise BadInput(f"none of the {len(train)} clients has an item to train on")
    return clients


def sample_cohort(clients: Int64Array, size: int, seed: int, round_number: int) -> Int64Array:
    """The clients of a round, `size` of them or a few less, ascending; a function of seed and round alone.

    Everybody takes part once before anybody does again: the rounds go through the population in passes, each in an
    order of its own, cut into cohorts of like size. What cohorts of independent draws leave to chance, who is heard
    often and who never, would be noise in the item vectors: sampling without replacement converges nearer to the
    optimum (random reshuffling; Mishchenko et al. 2020, of clients Malinovsky et al. 2022).
    """
    cohorts = -(-len(clients) // size)
    number, place = divmod(round_number, cohorts)
    return disjoint_cohorts(clients, size, seed, number)[place]


def disjoint_cohorts(clients: Int64Array, size: int, seed: int, number: int = 0) -> list[Int64Array]:
    """One pass: all clients, each in one cohort, at random; a function of the seed and the pass's number alone."""
    order = np.random.default_rng([seed, number]).permutation(clients)
    return [np.sort(cohort) for cohort in np.array_split(order, -(-len(clients) // size))]


def largest_cohort(clients: int, size: int) -> int:
    """The most clients of a round, where a pass over so many of them is cut into cohorts of at most `size`.

    >>> largest_cohort(6039, size=600)
    549
    """
    cohorts = -(-clients // size)
    return -(-clients // cohorts)


def groups(cohort: Int64Array, size: int | None, seed: int, round_number: int) -> list[Int64Array]:
    """The cohort cut at random into groups of `size` clients, or of fewer where it does not come out even.

    Each client is in one group. None makes the whole cohort one group.
    """
    if size is None:
        return [cohort]
    random = np.random.default_rng([seed, round_number, 1])  # not the draw of the cohort itself
    return [np.sort(group) for group in np.array_split(random.permutation(cohort), -(-len(cohort) // size))]
