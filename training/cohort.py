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
    """`size` distinct clients (all, where there are fewer), uniformly; a function of seed and round alone."""
    random = np.random.default_rng([seed, round_number])
    return np.sort(random.choice(clients, size=min(size, len(clients)), replace=False))


def disjoint_cohorts(clients: Int64Array, size: int, seed: int) -> list[Int64Array]:
    """All clients, each in one cohort, at random; at most `size` in each; a function of the seed alone."""
    return groups(clients, size, seed, round_number=0)


def groups(cohort: Int64Array, size: int | None, seed: int, round_number: int) -> list[Int64Array]:
    """The cohort cut at random into groups of `size` clients, or of fewer where it does not come out even.

    Each client is in one group. None makes the whole cohort one group.
    """
    if size is None:
        return [cohort]
    random = np.random.default_rng([seed, round_number, 1])  # not the draw of the cohort itself
    return [np.sort(group) for group in np.array_split(random.permutation(cohort), -(-len(cohort) // size))]
