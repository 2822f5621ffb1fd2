"""Numbers of items as features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.numeric_features import bucket_names, standardised

numbers = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40)


@given(numbers)
def test_standardised_numbers_have_mean_0_and_deviation_1_and_keep_their_order(values: list[float]) -> None:
    column = np.array(values)
    result = standardised(column)
    known = np.isfinite(column)
    assert np.isfinite(result).all()
    assert not result[~known].any()
    if result.any():
        assert result[known].mean() == pytest.approx(0, abs=1e-3)
        assert result[known].std() == pytest.approx(1, abs=1e-3)
        assert (np.diff(result[known][np.argsort(column[known])]) >= -1e-6).all()


def test_prices_are_taken_by_their_logarithm_and_numbers_below_zero_as_they_are() -> None:
    prices = standardised(np.array([0.0, np.e - 1, np.e**2 - 1]))
    np.testing.assert_allclose(prices, [-np.sqrt(1.5), 0, np.sqrt(1.5)], atol=1e-6)
    np.testing.assert_allclose(standardised(np.array([-1.0, 1.0, 3.0])), prices, atol=1e-6)


def test_a_column_without_numbers_or_with_one_alone_says_nothing() -> None:
    for column in ([np.nan, np.nan], [3.0, 3.0]):
        np.testing.assert_array_equal(standardised(np.array(column)), np.zeros(2))
    assert bucket_names(np.array([np.nan, np.nan]), 4) == [(), ()]


def test_ranges_hold_as_many_items_each_and_equal_numbers_share_one() -> None:
    names = bucket_names(np.arange(12.0), 4)
    assert names == [("0",)] * 3 + [("1",)] * 3 + [("2",)] * 3 + [("3",)] * 3
    assert len(set(bucket_names(np.array([1.0, 1, 1, 1, 1, 2]), 3))) == 2
    assert bucket_names(np.arange(3.0), 0) == [(), (), ()]
