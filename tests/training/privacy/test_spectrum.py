"""What is believed of a noised matrix."""

import numpy as np
import pytest

from training.privacy.spectrum import LENGTH, leading, shrunk, vectors_of


def wigner(size: int, seed: int) -> np.ndarray:
    upper = np.triu(np.random.default_rng(seed).standard_normal((size, size)))
    return upper + np.triu(upper, 1).T


def test_of_noise_alone_nothing_is_believed_and_of_a_matrix_without_noise_all() -> None:
    noise = 3 * wigner(400, seed=1)
    assert shrunk(np.linalg.eigvalsh(noise), deviation=3 * 1.1).max() == 0
    assert shrunk(np.array([5.0, 1.0, -2.0]), deviation=0).tolist() == [5, 1, 0]


def test_what_is_kept_errs_least() -> None:
    """Of all lengths along the noised direction, the one that is taken is nearest to the matrix without the noise."""
    direction = np.ones(400) / 20
    truth = 80 * np.outer(direction, direction)
    values, directions = np.linalg.eigh(truth + wigner(400, seed=2))
    kept = shrunk(values, deviation=1)[-1]
    outer = np.outer(directions[:, -1], directions[:, -1])
    error = {length: np.linalg.norm(length * outer - truth) for length in (kept, kept - 3, kept + 3, values[-1])}
    assert error[kept] == min(error.values())


def test_vectors_give_back_the_matrix_up_to_their_unit() -> None:
    random = np.random.default_rng(5)
    truth = random.standard_normal((30, 3)) @ np.diag([3.0, 2.0, 1.0])
    vectors = vectors_of(leading(truth @ truth.T, 0, 30), dim=3).astype(float)
    products, wanted = vectors @ vectors.T, truth @ truth.T
    np.testing.assert_allclose(products / np.trace(products), wanted / np.trace(wanted), atol=1e-5)
    assert np.sqrt(np.square(vectors).sum() / 30) == pytest.approx(LENGTH, rel=1e-5)


def test_numbers_that_nothing_is_believed_of_are_zero() -> None:
    vectors = vectors_of(leading(wigner(50, seed=3), 1.5, 50), dim=8)
    assert vectors.shape == (50, 8)
    assert not vectors.any()
    assert vectors_of(leading(np.eye(2), 0, 2), dim=5).shape == (2, 5)
