"""Folding in many at once finds the same minimum, whoever else is in the batch."""

import numpy as np
import pytest

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in_batch import CELLS, float32_suffices, fold_in_batch, solve, worth_turning

RANDOM = np.random.default_rng(5)
Q = RANDOM.normal(size=(300, 16)).astype(np.float32)
EIGEN = np.linalg.eigh(Q.T.astype(np.float64) @ Q)


def exact(rows: Int32Array, alpha: float, regularization: float) -> Float32Array:
    """The system of the docstring, solved in double precision."""
    met, gram = Q[rows].astype(np.float64), Q.T.astype(np.float64) @ Q
    system = met.T @ met + alpha * gram + regularization * (len(rows) + alpha * len(Q)) * np.eye(16)
    return np.asarray(np.linalg.solve(system, met.sum(axis=0)), dtype=np.float32)


def some_histories(lengths: list[int]) -> list[Int32Array]:
    return [RANDOM.choice(300, length, replace=False).astype(np.int32) for length in lengths]


@pytest.mark.parametrize(("alpha", "regularization"), [(0.2, 0.01), (1.0, 0.5), (0.01, 1e-3)])
def test_each_of_many_is_the_minimum_of_its_own_loss(alpha: float, regularization: float) -> None:
    histories = some_histories([3, 0, 300, 1, 40, 0, 2, 120])
    found = fold_in_batch(Q, EIGEN, histories, alpha, regularization)
    assert found.dtype == np.float32
    for rows, p in zip(histories, found, strict=True):
        np.testing.assert_allclose(p, exact(rows, alpha, regularization), rtol=1e-3, atol=2e-5)
    assert not found[1].any()
    assert not found[5].any()


def test_who_else_is_in_the_batch_changes_next_to_nothing() -> None:
    histories = some_histories([int(length) for length in RANDOM.integers(1, 90, size=400)])
    assert sum(map(len, histories)) > CELLS
    together = fold_in_batch(Q, EIGEN, histories, 0.2, 0.01)
    for user in range(0, 400, 23):
        np.testing.assert_allclose(together[user], exact(histories[user], 0.2, 0.01), rtol=1e-3, atol=2e-5)


def test_a_history_longer_than_a_batch_is_a_batch_of_its_own() -> None:
    many = RANDOM.normal(size=(CELLS + 10, 4)).astype(np.float32)
    rows = np.arange(CELLS + 5, dtype=np.int32)
    eigen = np.linalg.eigh(many.T.astype(np.float64) @ many)
    (p,) = fold_in_batch(many, eigen, [rows], 0.1, 0.1)
    met = many[rows].astype(np.float64)
    system = met.T @ met + 0.1 * (many.T.astype(np.float64) @ many)
    system += 0.1 * (len(rows) + 0.1 * len(many)) * np.eye(4)
    np.testing.assert_allclose(p, np.linalg.solve(system, met.sum(axis=0)), rtol=1e-3)


def test_what_the_steps_do_not_reach_is_solved_directly() -> None:
    """A diagonal over eight decades, and a preconditioner that knows nothing of it."""
    diagonal = np.logspace(-6, 2, 20, dtype=np.float32)[None]
    ones = np.ones((1, 20), np.float32)
    found = solve(np.zeros((1, 1, 20), np.float32), diagonal, ones, ones)
    np.testing.assert_allclose(found, 1 / diagonal, rtol=1e-5)


def test_a_nan_stays_with_the_one_it_belongs_to() -> None:
    vectors = RANDOM.normal(size=(2, 5, 4)).astype(np.float32)
    vectors[0, 2, 1] = np.nan
    ones = np.ones((2, 4), np.float32)
    found = solve(vectors, ones, ones, ones)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_a_batch_pays_for_many_people_and_not_for_a_large_catalogue() -> None:
    assert worth_turning(people=1000, items=10_000)
    assert not worth_turning(people=15, items=10)
    assert not worth_turning(people=20, items=1_000_000)


def test_vectors_however_small_are_not_taken_for_nothing() -> None:
    """Squares of such numbers are 0 in float32."""
    vectors = np.full((1, 3, 2), 1e-20, np.float32)
    found = solve(vectors, np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), np.full((1, 2), 3e-20, np.float32))
    np.testing.assert_allclose(found, [[3e-20, 3e-20]], rtol=1e-5)


def test_float32_suffices_where_the_ridge_holds_its_own_beside_the_vectors() -> None:
    values = np.array([0.0, 100.0])
    assert float32_suffices(values, items=300, alpha=0.2, regularization=0.01)
    assert not float32_suffices(values, items=300, alpha=0.2, regularization=1e-9)
    assert not float32_suffices(values * 1e9, items=300, alpha=0.2, regularization=0.01)
