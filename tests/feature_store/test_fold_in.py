"""Fold-in finds the minimum of the loss, for one person as for many."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings, fold_in, fold_in_many

Float64Array = npt.NDArray[np.float64]


def loss(p: Float64Array, Q: Float32Array, history: set[int], settings: FoldInSettings) -> float:
    """The formula of the module's docstring, term by term, in float64."""
    total = 0.0
    for item in range(len(Q)):
        score = sum(float(a) * float(b) for a, b in zip(p, Q[item], strict=True))
        total += settings.alpha * score**2
        if item in history:
            total += (1 - score) ** 2
    weight = settings.regularization * (len(history) + settings.alpha * len(Q))
    return total + weight * sum(float(a) ** 2 for a in p)


def closed_form(Q: Float32Array, history: set[int], settings: FoldInSettings) -> Float64Array:
    """The minimum in float64, with plain loops."""
    dim = Q.shape[1]
    system, right = np.zeros((dim, dim)), np.zeros(dim)
    for a in range(dim):
        right[a] = sum(float(Q[i, a]) for i in history)
        for b in range(dim):
            system[a, b] = sum(float(Q[i, a]) * float(Q[i, b]) for i in history)
            system[a, b] += settings.alpha * sum(float(q[a]) * float(q[b]) for q in Q)
        system[a, a] += settings.regularization * (len(history) + settings.alpha * len(Q))
    return np.asarray(np.linalg.solve(system, right), dtype=np.float64)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Float32Array, list[Int32Array], FoldInSettings]:
    items, dim = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    Q = rng.normal(size=(items, dim)).astype(np.float32)
    histories = draw(st.lists(st.lists(st.integers(0, items - 1), unique=True), max_size=6))
    settings = FoldInSettings(draw(st.floats(0.05, 2)), draw(st.floats(0.01, 1)))
    return Q, [np.array(history, dtype=np.int32) for history in histories], settings


@given(case=cases())
def test_fold_in_is_the_closed_form(case: tuple[Float32Array, list[Int32Array], FoldInSettings]) -> None:
    Q, histories, settings = case
    for history in histories:
        p = fold_in(Q, Q.T @ Q, history, settings)
        assert p.dtype == np.float32
        np.testing.assert_allclose(p, closed_form(Q, set(history.tolist()), settings), rtol=1e-3, atol=1e-4)


@given(case=cases(), direction=st.integers(0, 2**32))
def test_no_step_from_the_fold_in_lowers_the_loss(
    case: tuple[Float32Array, list[Int32Array], FoldInSettings], direction: int
) -> None:
    Q, histories, settings = case
    step = np.random.default_rng(direction).normal(size=Q.shape[1]) * 0.01
    for history in histories:
        met = set(history.tolist())
        p = fold_in(Q, Q.T @ Q, history, settings).astype(np.float64)
        here = loss(p, Q, met, settings)
        assert loss(p + step, Q, met, settings) > here - 1e-9
        assert loss(p - step, Q, met, settings) > here - 1e-9


@given(case=cases())
def test_folding_in_many_is_folding_in_one_by_one(
    case: tuple[Float32Array, list[Int32Array], FoldInSettings],
) -> None:
    Q, histories, settings = case
    many = fold_in_many(Q, Q.T @ Q, histories, settings)
    assert many.shape == (len(histories), Q.shape[1])
    assert many.dtype == np.float32
    for p, history in zip(many, histories, strict=True):
        np.testing.assert_allclose(p, fold_in(Q, Q.T @ Q, history, settings), rtol=1e-4, atol=1e-5)


def test_more_histories_than_one_batch_holds_keep_their_order() -> None:
    rng = np.random.default_rng(3)
    Q = rng.normal(size=(1200, 32)).astype(np.float32)
    lengths = rng.permutation(np.r_[np.zeros(5, dtype=int), rng.integers(1, 1200, size=295)])
    histories = [rng.choice(1200, size=length, replace=False).astype(np.int32) for length in lengths]
    settings = FoldInSettings(0.2, 0.01)
    many = fold_in_many(Q, Q.T @ Q, histories, settings)
    for user in range(0, 300, 7):
        alone = fold_in(Q, Q.T @ Q, histories[user], settings)
        np.testing.assert_allclose(many[user], alone, rtol=1e-3, atol=1e-5)
    assert [user for user in range(300) if not many[user].any()] == np.flatnonzero(lengths == 0).tolist()


def test_an_empty_history_folds_in_to_nought() -> None:
    Q = np.ones((3, 2), dtype=np.float32)
    none = np.array([], dtype=np.int32)
    assert fold_in(Q, Q.T @ Q, none, FoldInSettings(0.1, 0.1)).tolist() == [0.0, 0.0]
    assert fold_in_many(Q, Q.T @ Q, [], FoldInSettings(0.1, 0.1)).shape == (0, 2)


def test_one_item_of_one_number_by_hand() -> None:
    """(4 + ½·(4 + 1) + 0.2·(1 + ½·2)) p = 2, with q = 2 in the history and another item of 1."""
    Q = np.array([[2.0], [1.0]], dtype=np.float32)
    p = fold_in(Q, Q.T @ Q, np.array([0], dtype=np.int32), FoldInSettings(alpha=0.5, regularization=0.2))
    np.testing.assert_allclose(p, [2 / (4 + 2.5 + 0.4)], rtol=1e-6)


@pytest.mark.parametrize(
    ("alpha", "regularization"),
    [(0.0, 0.1), (-1.0, 0.1), (np.nan, 0.1), (np.inf, 0.1), (0.1, 0.0), (0.1, -0.1), (0.1, np.nan)],
)
def test_weights_that_make_no_minimum_are_refused(alpha: float, regularization: float) -> None:
    with pytest.raises(BadInput, match=r"alpha > 0 and regularization > 0; got alpha="):
        FoldInSettings(alpha, regularization)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("regularization", [1e-12, 1e-6, 0.01])
def test_many_are_folded_in_as_exactly_as_one_whatever_the_scale(scale: float, regularization: float) -> None:
    rng = np.random.default_rng(4)
    Q = (scale * rng.normal(size=(60, 12))).astype(np.float32)
    histories = [rng.choice(60, 20, replace=False).astype(np.int32) for _ in range(30)]
    settings = FoldInSettings(0.5, regularization)
    for p, rows in zip(fold_in_many(Q, Q.T @ Q, histories, settings), histories, strict=True):
        expected = Q @ closed_form(Q, set(rows.tolist()), settings)
        np.testing.assert_allclose(Q @ p, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("people", [1, 40])
@pytest.mark.parametrize("row", [-1, 5])
def test_rows_of_items_that_are_not_there_are_refused(people: int, row: int) -> None:
    Q = np.ones((5, 2), dtype=np.float32)
    histories = [np.array([1, row], dtype=np.int32)] * people
    with pytest.raises(BadInput, match="a history has rows from 0 to 4"):
        fold_in_many(Q, Q.T @ Q, histories, FoldInSettings(0.1, 0.1))
