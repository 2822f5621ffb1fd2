"""Turns: which rows of the gradient a round asks for. It follows from public sums and the round alone.

Q's Hessian with all user embeddings held fixed has a block an item and nothing between two items, so a step of some of
the rows is as good for those as a step of all. Rows of items that many met move more scores: each row has turns in
proportion to the root of its count, at most one a round.
"""

import numpy as np

from feature_store.arrays import Float32Array, Int64Array

_HALVINGS = 60  # of an interval: float64 has no more


def turns_a_round(counts: Float32Array, share: float) -> Float32Array:
    """How often each row is asked for, in rounds, between 0 and 1, shape (items,); their sum is share·items.

    >>> turns_a_round(np.array([1, 9, 100], np.float32), 0.5).tolist()
    [0.125, 0.375, 1.0]
    """
    roots = np.sqrt(np.maximum(counts.astype(np.float64), 1))
    low, high = 0.0, 1.0  # with 1 every row, as the least root is 1
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(roots * middle, 1).sum() < share * len(roots) else (low, middle)
    turns: Float32Array = np.minimum(roots * high, 1).astype(np.float32)
    return turns


def first_credit(items: int) -> Float32Array:
    """Where the rows stand before the first round, so that they do not all wait for the same one."""
    return np.random.default_rng(items).random(items, np.float32)


def rows_asked(items: int, share: float) -> int:
    """How many rows a round asks for: the same number in each, at least one."""
    return max(1, round(share * items))


def asked_rows(credit: Float32Array, share: float) -> Int64Array:
    """The rows whose turn it is, ascending.

    credit: turns that each row is owed, shape (items,).
    """
    return np.sort(np.argsort(-credit, kind="stable")[: rows_asked(len(credit), share)])
