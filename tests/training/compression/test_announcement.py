"""The announcement: item vectors in a byte a number, and steps in a byte a row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.compression.announcement import announced, step_codes, steps_of
from training.compression.settings import CompressionSettings

NONE = np.empty(0, np.uint8)


@given(st.integers(0, 1000), st.floats(1e-20, 1e5))
def test_a_number_of_the_table_is_off_by_half_a_127th_of_its_rows_largest(seed: int, size: float) -> None:
    vectors = (np.random.default_rng(seed).standard_normal((5, 4)) * size).astype(np.float32)
    vectors[2] = 0
    sent = announced(vectors, NONE, CompressionSettings())
    off = np.abs(sent.vectors - vectors)
    assert np.all(off <= np.abs(vectors).max(axis=1, keepdims=True) * (0.5 / 127 + 1e-5))
    assert not sent.vectors[2].any()
    assert sent.nbytes == 5 * 4 + 5 * 4


def test_a_table_of_float32_is_the_vectors_themselves() -> None:
    vectors = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
    assert np.array_equal(announced(vectors, NONE, CompressionSettings(table="float32")).vectors, vectors)


@given(st.floats(1e-11, 1e7))
def test_a_code_gives_its_step_back_within_an_eighth_of_a_doubling(step: float) -> None:
    code = step_codes(np.array([step], np.float32))
    assert code[0] > 0
    assert abs(np.log2(steps_of(code)[0] / step)) <= 1 / 8 + 1e-3


def test_steps_beyond_the_codes_take_the_nearest_and_zero_is_no_code_of_a_row() -> None:
    assert step_codes(np.array([0, 1e-38, 1e30], np.float32)).tolist() == [1, 1, 255]


def test_what_asks_for_no_steps_is_the_survey() -> None:
    vectors = np.ones((2, 2), np.float32)
    assert announced(vectors, NONE, CompressionSettings()).is_survey
    assert not announced(vectors, np.zeros(2, np.uint8), CompressionSettings()).is_survey
