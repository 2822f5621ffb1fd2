"""The exact index and the popular items, against sorting everything. Whole numbers keep every score exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from serving.candidates import Candidates
from serving.popularity import PopularItems
from serving.retrieval import ExactIndex

DIM = 3
whole = st.integers(-3, 3)  # few values: ties are common
vectors = st.lists(st.tuples(*[whole] * DIM), min_size=1, max_size=40)
numbers = st.integers(1, 50)


def sorted_out(scores: list[int], k: int, excluded: list[int]) -> list[int]:
    """Rows by falling score, then rising row, without those excluded."""
    return sorted(set(range(len(scores))) - set(excluded), key=lambda row: (-scores[row], row))[:k]


def without(excluded: list[int], items: int) -> np.ndarray:
    eligible = np.ones(items, np.bool_)
    eligible[excluded] = False
    return eligible


@given(vectors, st.tuples(*[whole] * DIM), numbers, st.data())
def test_the_exact_index_returns_what_sorting_every_item_returns(
    items: list[tuple[int, ...]], query: tuple[int, ...], k: int, data: st.DataObject
) -> None:
    excluded = data.draw(st.lists(st.integers(0, len(items) - 1)))
    scores = [sum(a * b for a, b in zip(item, query, strict=True)) for item in items]
    index = ExactIndex(np.array(items, dtype=np.float32))

    found = index.retrieve(np.array(query, dtype=np.float32), k, without(excluded, len(items)))

    assert found.places.tolist() == sorted_out(scores, k, excluded)
    assert found.scores.tolist() == [scores[row] for row in found.places]
    assert found.source == "personal"


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), numbers, st.data())
def test_popular_items_are_what_sorting_by_count_returns(counts: list[int], k: int, data: st.DataObject) -> None:
    excluded = data.draw(st.lists(st.integers(0, len(counts) - 1)))
    popular = PopularItems.of(np.array(counts, dtype=np.float32))

    found = popular.retrieve(k, without(excluded, len(counts)))

    assert found.places.tolist() == sorted_out(counts, k, excluded)
    assert found.scores.tolist() == [counts[row] for row in found.places]
    assert found.source == "popular"


@pytest.mark.parametrize(
    ("query", "k", "message"),
    [
        (np.zeros(2, dtype=np.float32), 1, r"float32 queries of shape \(3,\); got float32 \(2,\)"),
        (np.zeros(3), 1, r"float32 queries of shape \(3,\); got float64"),
        (np.zeros(3, dtype=np.float32), 0, "k >= 1; got 0"),
    ],
)
def test_a_query_that_the_index_cannot_answer_is_refused(query: np.ndarray, k: int, message: str) -> None:
    index = ExactIndex(np.ones((4, 3), dtype=np.float32))
    with pytest.raises(BadInput, match=message):
        index.retrieve(query, k, np.ones(4, np.bool_))


def test_an_index_of_other_numbers_than_float32_is_refused() -> None:
    with pytest.raises(BadInput, match="got float64"):
        ExactIndex(np.ones((4, 3)))


def test_candidates_without_a_score_each_are_refused() -> None:
    with pytest.raises(BadInput, match="a score for each place"):
        Candidates(np.arange(3, dtype=np.int32), np.ones(2, dtype=np.float32), "popular")
