"""Items that queries score alike lie in one list, whatever else tells them apart."""

import numpy as np
import pytest

from serving.indexes.inverted import InvertedIndex
from serving.indexes.item_matrix import ItemMatrix
from serving.indexes.partition import partition
from serving.indexes.recall import recall_at, scores_needed
from tests.serving.indexes.made_up import clustered, queries_of

ITEMS, DIM, LISTS = 10_000, 16, 200


def popular_too() -> tuple[np.ndarray, np.ndarray]:
    """Clustered items whose last number is their popularity, and queries that it decides more than taste does."""
    vectors = clustered(ITEMS, DIM, seed=1)
    popularity = np.random.default_rng(2).permutation(np.arange(1, ITEMS + 1) ** -0.9).astype(np.float32)
    tastes = 0.01 * queries_of(vectors, people=100, seed=3)
    return np.column_stack([vectors, popularity]), np.column_stack([tastes, np.full(100, 0.3, np.float32)])


def lists_of_the_best(vectors: np.ndarray, queries: np.ndarray, numbers: np.ndarray) -> float:
    """In how many lists the best ten of a query lie, in the mean."""
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    return float(np.mean([len(np.unique(numbers[row])) for row in best]))


def test_what_queries_weigh_counts_for_more_than_what_they_do_not() -> None:
    vectors, queries = popular_too()
    of_taste = np.column_stack([queries[:, :DIM], np.zeros(100, np.float32)])
    by_these = partition(vectors, queries[::2], LISTS, 1, lambda: None)
    by_taste = partition(vectors, of_taste[::2], LISTS, 1, lambda: None)
    others = queries[1::2]
    assert lists_of_the_best(vectors, others, by_these) < 0.6 * lists_of_the_best(vectors, others, by_taste)


def test_each_kind_of_people_is_served_and_not_the_mean_of_all_alone() -> None:
    vectors, popular = popular_too()
    tastes = np.column_stack([queries_of(vectors[:, :DIM], people=300, seed=4), np.zeros(300, np.float32)])
    needed = scores_needed(ItemMatrix.of(vectors), tastes[200:])
    of_both, of_popular = (InvertedIndex.of(vectors, kinds) for kinds in ([popular, tastes[:200]], [popular]))
    assert recall_at(of_both, ITEMS, tastes[200:], needed) > 0.98
    assert recall_at(of_popular, ITEMS, tastes[200:], needed) < 0.95


def test_every_item_has_a_list_and_the_same_items_the_same_ones() -> None:
    vectors = clustered(2_000, DIM, seed=1)
    queries = queries_of(vectors, people=30, seed=2)
    numbers = partition(vectors, queries, 50, 1, lambda: None)
    assert numbers.shape == (2_000,)
    assert set(np.unique(numbers)) <= set(range(50))
    assert len(np.unique(numbers)) > 40
    assert (numbers == partition(vectors, queries, 50, 1, lambda: None)).all()
    larger = (1e12 * queries).astype(np.float32)  # its squares are no numbers of 32 bits
    assert (numbers == partition(vectors, larger, 50, 1, lambda: None)).all()


def test_queries_that_ask_for_nothing_and_a_single_one_do_as_well() -> None:
    vectors = clustered(500, DIM, seed=1)
    for queries in (np.zeros((3, DIM), np.float32), queries_of(vectors, people=1, seed=2)):
        assert len(np.unique(partition(vectors, queries, 20, 1, lambda: None))) > 15


def test_who_no_longer_waits_ends_it() -> None:
    def gone() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        partition(clustered(500, DIM, seed=1), np.ones((1, DIM), np.float32), 20, 1, gone)
