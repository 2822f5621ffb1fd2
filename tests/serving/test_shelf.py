"""A shelf against sorting its rows. Whole numbers keep every score exact."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.shelf import Shelf

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
