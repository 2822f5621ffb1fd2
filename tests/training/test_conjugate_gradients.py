"""Many small systems at once, against a direct solution in double precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.conjugate_gradients import TOLERANCE, solve


def systems(seed: int, clients: int, longest: int, dim: int, ridge: float) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((clients, longest, dim)).astype(np.float32)
    for client, length in enumerate(random.integers(0, longest + 1, clients)):
        vectors[client, length:] = 0
    diagonal = (ridge * random.uniform(0.5, 2, (clients, dim))).astype(np.float32)
    scale = diagonal + np.square(vectors).sum(axis=1)
    return vectors, diagonal, scale, vectors.sum(axis=1)


def directly(vectors: np.ndarray, diagonal: np.ndarray, right: np.ndarray) -> np.ndarray:
    exact = vectors.astype(np.float64)
    matrices = [x.T @ x + np.diag(d) for x, d in zip(exact, diagonal.astype(np.float64), strict=True)]
    return np.array([np.linalg.solve(a, b) for a, b in zip(matrices, right.astype(np.float64), strict=True)])


@given(st.integers(0, 99), st.integers(1, 6), st.integers(1, 40), st.integers(1, 8), st.floats(0.5, 50))
def test_the_solutions_are_those_of_the_systems(seed: int, clients: int, longest: int, dim: int, ridge: float) -> None:
    """Histories below twice the dim and above it: products with X and Xᵀ for the former, with XᵀX for the latter."""
    vectors, diagonal, scale, right = systems(seed, clients, longest, dim, ridge)
    expected = directly(vectors, diagonal, right)
    bound = 20 * TOLERANCE * np.linalg.norm(right, axis=1).max() / diagonal.min() + 1e-7
    np.testing.assert_allclose(solve(vectors, diagonal, scale, right), expected, atol=bound)


def test_a_client_whose_vectors_are_zero_gets_zero_and_spoils_nobody_else() -> None:
    vectors, diagonal, scale, right = systems(1, clients=3, longest=5, dim=4, ridge=1.0)
    alone = solve(vectors[[0, 2]], diagonal[[0, 2]], scale[[0, 2]], right[[0, 2]])
    vectors[1], right[1] = 0, 0
    solution = solve(vectors, diagonal, scale, right)
    assert (solution[1] == 0).all()
    np.testing.assert_allclose(solution[[0, 2]], alone, rtol=1e-6)


@pytest.mark.parametrize("longest", [6, 60])
def test_systems_that_are_too_hard_for_float32_are_solved_directly(longest: int) -> None:
    """Almost parallel vectors and hardly any ridge: conjugate gradients in float32 stand still far from the goal."""
    random = np.random.default_rng(3)
    vectors = np.ones((2, longest, 8), np.float32) + random.standard_normal((2, longest, 8)).astype(np.float32) * 1e-3
    diagonal, right = np.full((2, 8), 1e-7, np.float32), random.standard_normal((2, 8)).astype(np.float32)
    solution = solve(vectors, diagonal, diagonal + 1, right)
    expected = directly(vectors, diagonal, right)
    np.testing.assert_allclose(solution, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
