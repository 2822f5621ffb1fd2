"""The expectations of popularity alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.privacy.centring import expected

POPULARITY = st.lists(st.floats(0.01, 1000), min_size=2, max_size=40).map(np.array)


@given(popularity=POPULARITY, data=st.data())
def test_they_add_up_to_what_a_person_met_and_are_probabilities(popularity: np.ndarray, data: st.DataObject) -> None:
    lengths = np.array(data.draw(st.lists(st.integers(0, len(popularity)), min_size=1, max_size=5)))
    rows = expected(popularity, lengths)
    np.testing.assert_allclose(rows.sum(axis=1), lengths, rtol=1e-4, atol=1e-5)
    assert ((rows >= 0) & (rows <= 1)).all()


def test_few_items_are_in_proportion_to_popularity_and_many_saturate() -> None:
    popularity = np.array([100.0] + [1.0] * 900)
    few, many = expected(popularity, np.array([1, 500]))
    assert few[0] / few[1] == pytest.approx(100, rel=0.1)
    assert many[0] > 0.999
    assert many[1] == pytest.approx(499 / 900, rel=1e-3)


def test_the_unit_of_popularity_does_not_matter() -> None:
    popularity, lengths = np.array([5.0, 2.0, 1.0, 1.0]), np.array([1, 2, 3])
    np.testing.assert_allclose(expected(popularity, lengths), expected(popularity * 1000, lengths), rtol=1e-4)
