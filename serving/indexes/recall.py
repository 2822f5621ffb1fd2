"""The recall of an index, measured against the exact products, and how far one has to look for a recall."""

from collections.abc import Callable, Sequence

import numpy as np

from feature_store.arrays import BoolArray, Float32Array
from serving.indexes.item_index import ItemIndex
from serving.indexes.item_matrix import ItemMatrix

_BEST = 10  # items whose recall is measured
_QUERIES = 2_000
TUNED_WITH = 420
"""Queries of all kinds that an effort is found with; it takes about a millisecond for each, again and again."""
_LIKED = (1, 3, 10)  # items in the middle of which a made-up query lies
_STEP = 1.2  # from one effort to the next
_SPARE = 0.3  # of what may be missed; other queries than those tuned with miss a little more


def recall_at(index: ItemIndex, items: int, queries: Float32Array, needed: Float32Array, k: int = _BEST) -> float:
    """Of the k best items of each query, the part that the index finds; of equal scores either counts.

    needed: what `scores_needed` says of these queries and k.
    """
    everything: BoolArray = np.ones(items, np.bool_)
    right = 0
    for query, least in zip(queries, needed, strict=True):
        right += int(np.count_nonzero(index.retrieve(query, k, everything).scores >= least))
    return right / (min(k, items) * len(queries))


def scores_needed(matrix: ItemMatrix, queries: Float32Array, k: int = _BEST) -> Float32Array:
    """What an item's product must reach for it to be among the k best, for each query, shape (queries,)."""
    at = max(0, len(matrix) - k)
    needed = [np.partition(matrix.vectors @ query, at)[at] - matrix.error(query) for query in queries]
    return np.array(needed, np.float32)


def tuned(
    with_effort: Callable[[int], ItemIndex],
    matrix: ItemMatrix,
    kinds: Sequence[Float32Array],
    recall: float,
    between: Callable[[], None],
) -> int:
    """The least effort, of those a step apart, that reaches the recall on the queries of each kind; at most all items.

    between: called after each of them.
    """
    recall += _SPARE * (1 - recall)
    effort = max(1, len(matrix) // 100)
    for queries in kinds:
        needed = scores_needed(matrix, queries)
        while effort < len(matrix) and recall_at(with_effort(effort), len(matrix), queries, needed) < recall:
            between()
            effort = int(effort * _STEP) + 1
    return min(effort, len(matrix))


def sample_queries(vectors: Float32Array, seed: int, count: int = _QUERIES) -> Float32Array:
    """Queries that people could have: each in the middle of one to ten items, shape (count, dim)."""
    random = np.random.default_rng([seed, len(vectors)])
    queries = [
        vectors[random.integers(0, len(vectors), _LIKED[number % len(_LIKED)])].mean(axis=0) for number in range(count)
    ]
    return np.array(queries, np.float32)
