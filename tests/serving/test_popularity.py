"""The popular items, against sorting everything by count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from serving.candidates import Candidates
from serving.popularity import PopularItems

numbers = st.integers(1, 50)


def sorted_out(scores: list[int], k: int, excluded: list[int]) -> list[int]:
    """Rows by falling count, then rising row, without those excluded."""
    return sorted(set(range(len(scores))) - set(excluded), key=lambda row: (-scores[row], row))[:k]


def without(excluded: list[int], items: int) -> np.ndarray:
    eligible = np.ones(items, np.bool_)
    eligible[excluded] = False
    return eligible


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), numbers, st.data())
def test_popular_items_are_what_sorting_by_count_returns(counts: list[int], k: int, data: st.DataObject) -> None:
    excluded = data.draw(st.lists(st.integers(0, len(counts) - 1)))
    popular = PopularItems.of(np.array(counts, dtype=np.float32))

    found = popular.retrieve(k, without(excluded, len(counts)))

    assert found.places.tolist() == sorted_out(counts, k, excluded)
    assert found.scores.tolist() == [counts[row] for row in found.places]
    assert found.source == "popular"


def test_candidates_without_a_score_each_are_refused() -> None:
    with pytest.raises(BadInput, match="a score for each place"):
        Candidates(np.arange(3, dtype=np.int32), np.ones(2, dtype=np.float32), "popular")
