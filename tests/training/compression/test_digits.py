"""Digits: small numbers that share a word come back from a sum of words as what they add up to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from training.compression.digits import WORD_BITS, digits_a_word, packed, unpacked, words_for
from training.secure_aggregation.fixed_point import Field, Layout, decode, encode, largest


@given(
    levels=st.integers(1, 60),
    cells=st.integers(1, 40),
    count=st.integers(0, 40),
    missing=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_sums_of_words_have_the_sums_of_the_numbers_however_many_cells_are_missing(
    levels: int, cells: int, count: int, missing: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    there = max(1, cells - missing)
    extreme = random.random() < 0.3  # all at the largest: the word is as full as it gets
    numbers = random.integers(-levels, levels + 1, (there, count)) if not extreme else np.full((there, count), levels)
    words = [packed(each, levels, cells) for each in numbers]
    assert all(len(each) == words_for(count, levels, cells) for each in words)
    assert all(np.abs(each).max(initial=0) <= largest(WORD_BITS, cells) for each in words)
    found = unpacked(np.sum(words, axis=0, dtype=np.float32), count, levels, cells)
    assert found.tolist() == numbers.sum(axis=0).tolist()


def test_words_pass_through_the_fixed_point_of_masked_sums_exactly() -> None:
    random = np.random.default_rng(3)
    numbers = random.integers(-2, 3, (3, 1000))
    words = [packed(each, 2, 3) for each in numbers]
    layout = Layout((Field("words", words[0].shape, float(largest(16, 3))),), 16)
    encoded = [encode({"words": each}, layout, 3) for each in words]
    assert encoded[0].nbytes == 2 * 250
    summed = decode(np.sum(encoded, axis=0, dtype=np.uint16), layout, 3)["words"].astype(np.float32)
    assert unpacked(summed, 1000, 2, 3).tolist() == numbers.sum(axis=0).tolist()


def test_a_word_holds_as_many_numbers_as_fit_and_no_more() -> None:
    for levels, cells in ((1, 3), (2, 3), (42, 3), (2, 30), (31, 1024)):
        base, digits = 2 * levels * cells + 1, digits_a_word(levels, cells)
        full = sum(levels * base**place for place in range(digits))
        assert full <= largest(WORD_BITS, cells) < full + levels * base**digits


def test_what_fits_no_word_and_numbers_above_their_levels_are_refused() -> None:
    with pytest.raises(BadInput, match="hold sums of 1024 numbers up to 31; got levels 32"):
        digits_a_word(32, 1024)
    with pytest.raises(BadInput, match="2 levels are at most that; got 3"):
        packed(np.array([1, -3]), 2, 3)
