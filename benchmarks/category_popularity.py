"""Category-popularity: new items ranked by how often their categories were met, with nothing learnt.

Met is counted in distinct items, those that nobody is asked to find. An item of several categories has the mean of
their scores; items that score the same, as all of one category do, are in random order.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from feature_store.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from training.evaluation import Scorer
from training.histories import Histories

OWN_ITEMS = 20.0  # how many items of a person's own everybody's taste weighs like, in `category_rate`


def category_popularity(train: Histories, categories: Sequence[Sequence[str]], rows: Int32Array, seed: int) -> Scorer:
    """By how many items of its category the person met, and between equal ones by how many everybody met.

    Args:
        train: what people met.
        categories: of all items.
        rows: the items to rank; scores have a column for each of these.
        seed: of the random order of ties.
    """

    def score(own: Float64Array, everybody: Float64Array, sizes: Float64Array) -> Float64Array:
        del sizes
        scores: Float64Array = own + everybody / (1.0 + everybody.sum())
        return scores

    return _by_category(train, categories, rows, seed, score)


def category_rate(train: Histories, categories: Sequence[Sequence[str]], rows: Int32Array, seed: int) -> Scorer:
    """By how likely the person met an item of its category: counts divided by how many items the category has.

    A stronger reading than `category_popularity`, which puts large categories first. Everybody's counts stand beside
    a person's own as `OWN_ITEMS` further items. Arguments as there.
    """

    def score(own: Float64Array, everybody: Float64Array, sizes: Float64Array) -> Float64Array:
        taste = OWN_ITEMS * everybody / max(1.0, everybody.sum())
        scores: Float64Array = (own + taste) / np.maximum(sizes, 1.0)
        return scores

    return _by_category(train, categories, rows, seed, score)


def at_random(rows: Int32Array, seed: int) -> Scorer:
    """In an order drawn for each person."""

    def score(clients: Int64Array) -> Float32Array:
        draws = [np.random.default_rng([seed, client]).random(len(rows), np.float32) for client in clients.tolist()]
        return np.stack(draws)

    return score


def _by_category(
    train: Histories,
    categories: Sequence[Sequence[str]],
    rows: Int32Array,
    seed: int,
    score_of: Callable[[Float64Array, Float64Array, Float64Array], Float64Array],
) -> Scorer:
    """score_of: from a person's count in each category, everybody's and its items that were met to its score."""
    belongs = _belongs(categories)
    counts = np.bincount(train.rows, minlength=len(categories))
    everybody = np.asarray(belongs.T @ counts, np.float64)
    sizes = np.asarray(belongs.T @ (counts > 0), np.float64)
    cold = belongs[rows]
    share = 1.0 / np.maximum(np.asarray(cold.sum(axis=1)).ravel(), 1.0)
    ties = np.random.default_rng(seed).random(len(rows))

    def score(clients: Int64Array) -> Float32Array:
        lines = []
        for client in clients.tolist():
            own = np.asarray(belongs[train[client]].sum(axis=0), np.float64).ravel()
            lines.append(_ranks((cold @ score_of(own, everybody, sizes)) * share, ties))
        return np.stack(lines)

    return score


def _ranks(scores: Float64Array, ties: Float64Array) -> Float32Array:
    """Scores in the same order, no two of them equal: those that were go by `ties`."""
    ranks = np.empty(len(scores), np.float32)
    ranks[np.lexsort((ties, scores))] = np.arange(len(scores), dtype=np.float32)
    return ranks


def _belongs(categories: Sequence[Sequence[str]]) -> Any:
    """1 where an item is of a category, sparse, shape (items, categories)."""
    numbers = {name: number for number, name in enumerate(sorted({name for item in categories for name in item}))}
    columns = [numbers[name] for item in categories for name in item]
    offsets = np.cumsum([0, *map(len, categories)])
    return scipy.sparse.csr_matrix((np.ones(len(columns)), columns, offsets), shape=(len(categories), len(numbers)))
