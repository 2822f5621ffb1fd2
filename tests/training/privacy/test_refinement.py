"""Directions set right by a second release: nearer to the truth than either release alone."""

import numpy as np
import pytest

from training.privacy.refinement import Spectrum, refined
from training.privacy.spectrum import leading

SIZE, RANK, UNIT = 300, 4, 1.7


@pytest.fixture
def truth() -> np.ndarray:
    factors = np.linalg.qr(np.random.default_rng(1).standard_normal((SIZE, RANK)))[0]
    return factors * [90.0, 75, 65, 55] @ factors.T


def error(spectrum: Spectrum, matrix: np.ndarray) -> float:
    found = spectrum.directions * spectrum.values @ spectrum.directions.T
    return float(np.linalg.norm(found / np.trace(found) - matrix / np.trace(matrix)))


def test_both_releases_together_are_nearer_to_the_truth_than_one(truth: np.ndarray) -> None:
    random = np.random.default_rng(2)
    noise = np.triu(random.standard_normal((SIZE, SIZE)))
    first = leading(truth + noise + np.triu(noise, 1).T, 1.0, 2 * RANK)
    # The second sum is in another unit than the first, which nobody knows beforehand.
    along = UNIT * truth @ first.directions + random.standard_normal((SIZE, 2 * RANK))
    both = refined(first, 1.0, along, 1.0)
    second = refined(first, 1e9, along, 1.0)  # as if the first had been noise alone
    assert error(both, truth) < 0.8 * error(first, truth)
    assert error(both, truth) < 0.95 * error(second, truth)
    np.testing.assert_allclose(both.directions.T @ both.directions, np.eye(len(both.values)), atol=1e-9)
    assert (np.diff(both.values) <= 0).all()
    assert (both.values > 0).all()
    assert both.values.sum() == pytest.approx(UNIT * np.trace(truth), rel=0.1)


def test_without_noise_the_matrix_is_given_back(truth: np.ndarray) -> None:
    first = leading(truth, 1e-6, RANK)
    both = refined(first, 1e-6, truth @ first.directions, 1e-6)
    assert error(both, truth) < 1e-9
    np.testing.assert_allclose(both.values, [90, 75, 65, 55])


def test_where_nothing_stood_out_nothing_is_believed() -> None:
    first = Spectrum(np.eye(5)[:, :2], np.zeros(2))
    assert refined(first, 1.0, np.ones((5, 2)), 1.0).directions.shape == (5, 0)
