"""The curvature client against slow, clear arithmetic in double precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.fold_in import FoldInSettings, fold_in
from training.padding import pad
from training.reconstruction import curvature_update, reconstruct
from training.tf import tf

HISTORIES = st.lists(
    st.sets(st.integers(0, 12), min_size=1, max_size=9).map(lambda s: np.array(sorted(s), np.int32)),
    min_size=1,
    max_size=7,
)


def slowly(
    vectors: np.ndarray, histories: list[np.ndarray], weights: FoldInSettings
) -> tuple[dict[str, np.ndarray], float]:
    """The sums of `curvature_update`, a client and an item at a time."""
    Q = vectors.astype(np.float64)
    items, dim = Q.shape
    alpha, lam = weights.alpha, weights.regularization
    gradient, gram, energy, counts, loss = (
        np.zeros((items, dim)),
        np.zeros((dim, dim)),
        np.zeros(items),
        np.zeros(items),
        0.0,
    )
    for history in histories:
        system = lam * (len(history) + alpha * items) * np.eye(dim) + alpha * Q.T @ Q
        for item in history:
            system += np.outer(Q[item], Q[item])
        p = np.linalg.solve(system, sum(Q[item] for item in history))
        for item in history:
            gradient[item] += (p @ Q[item] - 1) * p
            energy[item] += p @ p
            counts[item] += 1
            loss += (1 - p @ Q[item]) ** 2
        for item in range(items):
            loss += alpha * (p @ Q[item]) ** 2
        loss += lam * (len(history) + alpha * items) * (p @ p)
        gram += np.outer(p, p)
    return {"item_gradient": gradient, "user_gram": gram, "item_energy": energy, "item_counts": counts}, loss


@settings(max_examples=25, deadline=None)
@given(HISTORIES, st.floats(0.05, 2), st.floats(0.005, 0.5), st.integers(0, 99))
def test_the_sums_are_those_of_plain_arithmetic(
    histories: list[np.ndarray], alpha: float, regularization: float, seed: int
) -> None:
    vectors = np.random.default_rng(seed).standard_normal((13, 4)).astype(np.float32)
    weights = FoldInSettings(alpha, regularization)
    expected, loss = slowly(vectors, histories, weights)
    update = curvature_update(vectors, histories, weights)
    assert update.clients == len(histories)
    assert update.loss == pytest.approx(loss, rel=1e-3)
    for name, array in expected.items():
        np.testing.assert_allclose(update.sums[name], array, rtol=2e-3, atol=2e-4)


def test_a_cohort_in_many_batches_gives_what_one_batch_gives() -> None:
    random = np.random.default_rng(1)
    vectors = random.standard_normal((30, 4)).astype(np.float32)
    histories = [random.permutation(30)[: random.integers(1, 25)].astype(np.int32) for _ in range(20)]
    weights = FoldInSettings(0.2, 0.01)
    whole = curvature_update(vectors, histories, weights)
    batched = curvature_update(vectors, histories, weights, cells=40)
    for name, array in whole.sums.items():
        np.testing.assert_allclose(batched.sums[name], array, rtol=1e-4, atol=1e-5)


def test_reconstruction_on_the_client_is_fold_in() -> None:
    """One definition: what training optimises is what serving and devices compute."""
    random = np.random.default_rng(2)
    vectors = random.standard_normal((50, 8)).astype(np.float32)
    gram = vectors.T @ vectors
    histories = [random.permutation(50)[:n].astype(np.int32) for n in (1, 5, 30)]
    weights = FoldInSettings(0.4, 0.03)
    embeddings, _, _ = reconstruct(
        tf.constant(vectors), tf.constant(gram), tf.constant(pad(histories)), tf.constant(0.4), tf.constant(0.03)
    )
    for history, embedding in zip(histories, embeddings.numpy(), strict=True):
        np.testing.assert_allclose(embedding, fold_in(vectors, gram, history, weights), rtol=1e-4, atol=1e-6)
