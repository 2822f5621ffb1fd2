"""A shelf against sorting its rows. Whole numbers keep every score exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from serving.shelf import Added, Shelf

ITEMS = 12
rows = st.lists(st.integers(0, ITEMS - 1), min_size=1, unique=True).map(sorted)
any_rows = st.lists(st.integers(0, ITEMS - 1))


@given(rows, any_rows, st.integers(1, ITEMS), st.integers(0, 99))
def test_a_shelf_returns_the_best_of_its_rows_and_no_others(
    on_it: list[int], excluded: list[int], k: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors, counts = rng.integers(-2, 3, (ITEMS, 2)), rng.integers(0, 4, ITEMS)
    query = rng.integers(-2, 3, 2)
    shelf = Shelf.of(np.array(on_it, np.int32), vectors.astype(np.float32), counts.astype(np.float32))
    without = np.array([row not in excluded for row in on_it])

    closest = shelf.closest(query.astype(np.float32), k, without, "blended")
    popular = shelf.most_popular(k, without)

    for found, scores in ((closest, vectors @ query), (popular, counts)):
        eligible = [row for row in on_it if row not in excluded]
        expected = sorted(eligible, key=lambda row, scores=scores: (-scores[row], row))[:k]
        assert [on_it[place] for place in found.places] == expected
        assert found.scores.tolist() == [scores[row] for row in expected]
    assert (closest.source, popular.source) == ("blended", "popular")


def test_consecutive_rows_are_not_copied() -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(6, 2)
    shelf = Shelf.of(np.array([2, 3, 4], np.int32), vectors, np.ones(6, np.float32))

    vectors[3] = 100

    assert shelf.closest(np.ones(2, np.float32), 1, np.ones(3, np.bool_), "personal").scores.tolist() == [200]


def test_a_score_is_to_the_last_bit_what_the_search_gave() -> None:
    random = np.random.default_rng(1)
    vectors, query = random.standard_normal((500, 33), np.float32), random.standard_normal(33, np.float32)
    some = np.flatnonzero(random.random(500) < 0.3).astype(np.int32)
    added = Added(some, random.standard_normal(len(some), np.float32))
    for added_to in (None, some):  # known beforehand, and looked up for the request
        shelf = Shelf.of(np.arange(500, dtype=np.int32), vectors, np.ones(500, np.float32), added_to=added_to)
        for more in (None, added):
            found = shelf.closest(query, 500, np.ones(500, np.bool_), "personal", more)
            assert shelf.score(query, found.places, more).tolist() == found.scores.tolist()


def test_a_query_of_another_length_and_additions_without_a_number_each_are_refused() -> None:
    vectors = np.ones((4, 3), np.float32)
    rows = np.arange(4, dtype=np.int32)
    shelf = Shelf.of(rows, vectors, np.ones(4, np.float32))
    with pytest.raises(BadInput, match=r"queries of shape \(3,\)"):
        shelf.score(np.ones(2, np.float32), rows)
    with pytest.raises(BadInput, match=r"got \(4,\) rows, \(3,\) numbers"):
        shelf.score(np.ones(3, np.float32), rows, Added(rows, np.ones(3, np.float32)))
