"""The noise: normal, never the same twice, and shared out so that its sum is right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from feature_store.errors import BadInput
from training.privacy.noise import normal_numbers, repeatable_noise, secure_noise, share_deviation


def test_the_numbers_are_standard_normal_and_independent() -> None:
    numbers = normal_numbers(b"k" * 32, 200_000)
    assert kstest(numbers, "norm").pvalue > 1e-3
    half = len(numbers) // 2
    for other in (numbers[half:], np.roll(numbers[:half], 1)):  # the two numbers of a pair, and neighbours
        assert abs(np.corrcoef(numbers[:half], other)[0, 1]) < 0.015
    assert kstest((numbers[:half] ** 2 + numbers[half:] ** 2) / 2, "expon").pvalue > 1e-3


def test_an_odd_count_is_given_whole() -> None:
    assert normal_numbers(b"k" * 32, 3).shape == (3,)
    assert normal_numbers(b"k" * 32, 0).shape == (0,)


def test_noise_never_comes_twice() -> None:
    secure, repeatable = secure_noise(), repeatable_noise(5)
    assert not np.intersect1d(secure(1000), secure(1000)).size
    first, second = repeatable(10), repeatable(10)
    assert not np.intersect1d(first, second).size
    again = repeatable_noise(5)
    assert again(10).tolist() == first.tolist()
    assert not np.intersect1d(first, repeatable_noise(6)(10)).size


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(BadInput, match="32 bytes; got 5"):
        normal_numbers(b"short", 2)


@given(parties=st.integers(1, 50), data=st.data())
def test_the_noise_of_those_who_stay_is_enough_and_no_larger_than_it_must_be(parties: int, data: st.DataObject) -> None:
    missing = data.draw(st.integers(0, parties - 1))
    share = share_deviation(2.5, parties, missing)
    assert share**2 * (parties - missing) == pytest.approx(2.5**2)


def test_shares_of_noise_add_up_to_the_wanted_variance() -> None:
    noise = repeatable_noise(1)
    total = sum(share_deviation(3.0, parties=5, may_be_missing=1) * noise(20_000) for _ in range(4))
    assert np.std(total) == pytest.approx(3.0, rel=0.03)


def test_noise_that_nobody_has_to_add_is_refused() -> None:
    with pytest.raises(BadInput, match="of 3 parties at least one"):
        share_deviation(1.0, parties=3, may_be_missing=3)
