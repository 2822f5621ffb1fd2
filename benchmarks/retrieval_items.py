"""Items and queries to retrieve with: made up in clusters, or the vectors that a training came to."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.fold_in import fold_in_many
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

_LIKED = (1, 3, 10)  # items in the middle of which a query lies
_TUNING = 2_000  # queries, at most as many as there are


class Asked(NamedTuple):
    """What is searched, and for whom.

    vectors: of the items, float32, shape (items, dim).
    queries: shape (n, dim).
    tuning: other queries of the same kind, that an index may be tuned with, shape (m, dim).
    """

    vectors: Float32Array
    queries: Float32Array
    tuning: Float32Array


def made_up(items: int, dim: int, queries: int, seed: int = 1) -> Asked:
    """Items in √items clusters, the larger the earlier, and queries in the middle of one, three or ten items.

    Centres are normal, members normal about them with half the variance (.7²), lengths lognormal (σ = .25).
    """
    random = np.random.default_rng([seed, items, dim])
    clusters = int(items**0.5)
    weights = np.arange(1, clusters + 1) ** -0.5
    centres = random.standard_normal((clusters, dim), np.float32)
    vectors = np.float32(0.7) * random.standard_normal((items, dim), np.float32)
    vectors += centres[random.choice(clusters, items, p=weights / weights.sum())]
    vectors *= np.float32(0.3) * np.exp(np.float32(0.25) * random.standard_normal((items, 1), np.float32))
    both = [
        vectors[random.integers(0, items, _LIKED[number % len(_LIKED)])].mean(axis=0)
        + np.float32(0.05) * random.standard_normal(dim, np.float32)
        for number in range(queries + _TUNING)
    ]
    return Asked(vectors, np.array(both[:queries]), np.array(both[queries:]))


def trained(split: Split, dim: int, queries: int, report: Callable[[str], None]) -> Asked:
    """The item vectors of a training on the split, and people's embeddings as queries; half of them to tune with."""
    report("training")
    run = prepare(split, TrainingSettings(dim=dim, rounds=20, cohort=min(600, len(split.train)), patience=0))
    state = run.start()
    for after, _ in run.rounds(state, validate=False):
        state = after
    vectors = np.ascontiguousarray(run.item_vectors(state))
    people = np.random.default_rng(1).permutation(np.flatnonzero(split.train.lengths))[: queries + _TUNING]
    folded = fold_in_many(vectors, vectors.T @ vectors, [split.train[one] for one in people.tolist()], run.fold_in)
    return Asked(vectors, folded[:queries], folded[queries:])
