"""The loops of a search, held against sorting: scores of every size, and nothing added where it does not belong."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.indexes.scans import best_of_all, best_of_both, best_of_rows, scores_of

NOWHERE, NOTHING = np.empty(0, np.int32), np.empty(0, np.float32)
number = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.5, -1.5, 1e-45, -1e-45])
numbers = st.lists(number, min_size=1, max_size=40)


def sorted_by(scores: np.ndarray, rows: np.ndarray, k: int) -> tuple[list[int], list[float]]:
    best = np.lexsort((rows, -scores))[:k]
    return rows[best].tolist(), scores[best].tolist()


@given(numbers, st.integers(1, 50), st.data())
def test_rows_come_by_their_scores_whatever_numbers_these_are(items: list[float], k: int, data: st.DataObject) -> None:
    """From the smallest that float32 has to infinity; a zero is a zero with either sign."""
    vectors = np.array(items, np.float32)[:, None]
    some = data.draw(st.lists(st.integers(0, len(items) - 1), unique=True))
    rows, query = np.array(some, np.int32), np.ones(1, np.float32)
    found, scores = best_of_rows(vectors, query, rows, k)
    assert (found.tolist(), scores.tolist()) == sorted_by(vectors[rows, 0], rows, k)
    eligible = np.zeros(len(items), np.bool_)
    eligible[rows] = True
    if some:
        found, scores = best_of_all(vectors, query, eligible, min(k, len(some)))
        assert (found.tolist(), scores.tolist()) == sorted_by(vectors[rows, 0], rows, k)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.integers(1, 40), st.integers(0, 99))
def test_what_is_added_to_and_what_was_found_are_one_list(items: list[int], k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, added_to = np.array(items, np.float32), random.random(len(items)) < 0.5
    eligible, added = random.random(len(items)) < 0.7, random.integers(-2, 3, len(items)).astype(np.float32)
    apart, found = (np.flatnonzero(which).astype(np.int32) for which in (added_to, eligible & ~added_to))
    best, theirs = best_of_both(
        found, scores[found], apart, eligible, added[apart], scores[apart, None], np.ones(1, np.float32), k
    )
    both = np.flatnonzero(eligible)
    assert (best.tolist(), theirs.tolist()) == sorted_by((scores + np.where(added_to, added, 0))[both], both, k)


def test_a_score_is_the_nearest_to_the_sum_in_whatever_order_it_is_formed() -> None:
    """1e8 + 1 - 1e8 is 0 or 8 where sums have 32 bits."""
    vectors = np.array([[1e8, 1, -1e8, 0.25], [1, 1e8, 0.25, -1e8], [0.25, -1e8, 1e8, 1]], np.float32)
    places = np.arange(3, dtype=np.int32)
    assert scores_of(vectors, np.ones(4, np.float32), places, NOWHERE, NOTHING).tolist() == [1.25] * 3


def test_something_is_added_to_those_places_alone() -> None:
    places, apart = np.array([5, 2, 9, 0], np.int32), np.array([0, 3, 9], np.int32)
    scores = scores_of(
        np.ones((4, 2), np.float32), np.ones(2, np.float32), places, apart, np.array([10, 20, 30], np.float32)
    )
    assert scores.tolist() == [2, 2, 32, 12]
