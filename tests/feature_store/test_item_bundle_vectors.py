"""Item vectors in a bundle: how near they stay, how many bits they have, and what of it a little training changes."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from feature_store.errors import BadInput
from feature_store.item_bundle_vectors import BITS, LEAST, MOST, ItemCodes, rounded, split

VECTORS = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(-(2.0**99), 2.0**99, width=32)
)


def all_rows(kept: ItemCodes) -> np.ndarray:
    return kept.rows(np.arange(len(kept.coarse), dtype=np.int32))


def gaussian(items: int, dim: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(items, dim)).astype(np.float32)


def bits_of(kept: ItemCodes) -> float:
    """Of a number, as zlib really does it and without the steps."""
    fine = min(len(zlib.compress(kept.fine.tobytes(), 9)), kept.fine.size)
    return 8 * (len(zlib.compress(kept.coarse.tobytes(), 9)) + fine) / kept.coarse.size


@given(VECTORS)
def test_a_number_is_at_most_half_a_step_of_its_row_away(vectors: np.ndarray) -> None:
    kept = rounded(vectors)
    steps = 2.0 ** (kept.quarters.astype(float) / 4)[:, None]
    assert (
        np.abs(all_rows(kept) - vectors.astype(float)) <= steps * 0.5001 + 1e-7 * np.abs(vectors.astype(float))
    ).all()


@given(VECTORS)
def test_no_row_has_less_than_its_steps_however_short_it_is_beside_others(vectors: np.ndarray) -> None:
    kept, tops = rounded(vectors), np.abs(vectors).max(axis=1)
    most = np.abs(kept.codes()).max(axis=1)
    assert (most[tops > 1e-30] >= LEAST).all()
    assert (most <= MOST).all()
    assert (most[tops == 0] == 0).all()


@given(st.integers(1, 9).flatmap(lambda dim: arrays(np.int16, (5, dim), elements=st.integers(-MOST, MOST))))
def test_codes_come_back_from_how_they_are_kept(codes: np.ndarray) -> None:
    assert (split(codes, np.zeros(5, np.int16)).codes() == codes).all()


@given(VECTORS, st.integers(0, 99))
def test_products_are_those_of_the_rounded_vectors(vectors: np.ndarray, seed: int) -> None:
    kept = rounded(vectors)
    query = np.random.default_rng(seed).normal(size=vectors.shape[1]).astype(np.float32)
    exact = all_rows(kept).astype(float) @ query
    slack = 1e-5 * (2.0 ** (kept.quarters / 4.0)) * MOST * np.abs(query).sum()
    assert (np.abs(kept.products(query) - exact) <= slack).all()


def test_products_of_more_items_than_a_block_are_in_their_order() -> None:
    vectors = gaussian(20_000, 6)
    kept, query = rounded(vectors), gaussian(1, 6)[0]
    assert np.abs(kept.products(query) - all_rows(kept) @ query).max() < 1e-4


@pytest.mark.parametrize("length", ["the same", "of all lengths", "one long"])
def test_a_number_has_eight_and_a_little_bits_whatever_the_lengths_are(length: str) -> None:
    vectors = gaussian(9000, 64)
    if length == "of all lengths":
        vectors *= np.random.default_rng(1).gamma(2, size=(9000, 1)).astype(np.float32)
    if length == "one long":
        vectors[7] *= 1e4
    assert BITS - 0.6 < bits_of(rounded(vectors)) < BITS + 0.15


def test_long_rows_are_rounded_more_finely_for_their_length_than_one_scale_a_row_has_it() -> None:
    """The row that a scale of 127 steps rounds to 1/127 of its largest number is here rounded to a third of that."""
    vectors = gaussian(9000, 64) * np.random.default_rng(1).gamma(2, size=(9000, 1)).astype(np.float32)
    tops = np.abs(vectors).max(axis=1)
    longest = np.argsort(-tops)[:300]
    steps = 2.0 ** (rounded(vectors).quarters[longest] / 4.0)
    assert (steps < 0.4 * tops[longest] / 127).all()


def test_a_little_more_training_leaves_the_steps_as_they_were() -> None:
    vectors = gaussian(3000, 64) * np.random.default_rng(1).gamma(2, size=(3000, 1)).astype(np.float32)
    moved = vectors * (1 + 0.001 * gaussian(3000, 64))
    before, after = rounded(vectors), rounded(moved)
    assert (before.quarters == after.quarters).mean() > 0.98
    same = before.quarters == after.quarters
    assert np.abs(before.codes()[same] - after.codes()[same]).max() <= 3


def test_vectors_that_have_no_products_in_float32_are_refused() -> None:
    assert (all_rows(rounded(np.zeros((2, 3), np.float32))) == 0).all()
    with pytest.raises(BadInput, match=r"below 2\^126; got 1e\+38"):
        rounded(np.array([[1e38]], np.float32))
