"""Products in blocks are products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.small_products import gram, product


@given(st.integers(0, 3), st.integers(-1, 300), st.sampled_from([1, 3, 16, 64, 150]))
def test_in_blocks_and_with_rows_and_columns_left_over_a_product_is_that_of_plain_numpy(
    seed: int, rows: int, dim: int
) -> None:
    random = np.random.default_rng(seed)
    rows = 70_000 // dim if rows < 0 else rows  # more than the blocks that are added at a time
    left, right = (random.standard_normal((n, dim)).astype(np.float32) for n in (rows, dim))
    exact = left.astype(np.float64)
    np.testing.assert_allclose(product(left, right), exact @ right, atol=1e-4)
    np.testing.assert_allclose(gram(left), exact.T @ exact, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("columns", [2, 5])
def test_the_right_side_may_be_of_any_width(columns: int) -> None:
    left, right = np.arange(12, dtype=np.float32).reshape(4, 3), np.ones((3, columns), np.float32)
    np.testing.assert_array_equal(product(left, right), np.repeat([[3.0], [12.0], [21.0], [30.0]], columns, axis=1))
