"""The user embedding of each loss is where the client's loss is lowest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.fold_in import FoldInSettings, fold_in_many
from training.losses.embedding import loss_embeddings
from training.losses.local_loss import LOSSES
from training.losses.names import LossName
from training.losses.newton import newton_embeddings
from training.losses.rows import on_rows
from training.padding import pad
from training.tf import tf

WEIGHTS = FoldInSettings(alpha=0.3, regularization=0.02)

without_closed_form = pytest.mark.parametrize("name", ["softmax", "logistic"])


def world(items: int, dim: int, scale: float, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    random = np.random.default_rng(seed)
    vectors = (scale * random.standard_normal((items, dim))).astype(np.float32)
    return vectors, [random.permutation(items)[:n].astype(np.int32) for n in (1, 3, 10, 25)]


def objective(name: LossName, vectors: np.ndarray, histories: list[np.ndarray], embeddings: np.ndarray) -> tuple:
    """The loss of each client at these embeddings, and its gradient there by automatic differentiation."""
    p = tf.Variable(embeddings)
    met = on_rows(pad(histories), len(vectors))
    ridge = WEIGHTS.regularization * (tf.reduce_sum(met, axis=1) + WEIGHTS.alpha * len(vectors))
    with tf.GradientTape() as tape:
        scores = tf.matmul(p, vectors, transpose_b=True)
        value = LOSSES[name].full.value(scores, met, WEIGHTS.alpha) + ridge * tf.reduce_sum(tf.square(p), axis=1)
    return value.numpy(), tf.convert_to_tensor(tape.gradient(value, p)).numpy()


@without_closed_form
@settings(max_examples=15)
@given(scale=st.sampled_from([0.05, 0.5, 2.0]), seed=st.integers(0, 10_000))
def test_the_embedding_is_near_the_minimum(name: LossName, scale: float, seed: int) -> None:
    vectors, histories = world(80, 8, scale, seed)
    embeddings = loss_embeddings(vectors, histories, WEIGHTS, name)
    _, at_zero = objective(name, vectors, histories, np.zeros_like(embeddings))
    _, at_end = objective(name, vectors, histories, embeddings)
    assert (np.linalg.norm(at_end, axis=1) < 0.01 * np.linalg.norm(at_zero, axis=1)).all()


def test_the_quadratic_embedding_is_the_fold_in_that_serving_has() -> None:
    vectors, histories = world(80, 8, 0.5, 1)
    histories.insert(2, np.empty(0, np.int32))
    expected = fold_in_many(vectors, vectors.T @ vectors, histories, WEIGHTS)
    np.testing.assert_allclose(
        loss_embeddings(vectors, histories, WEIGHTS, "quadratic"), expected, rtol=1e-3, atol=1e-5
    )


def test_newton_steps_on_the_quadratic_loss_find_the_fold_in_from_anywhere() -> None:
    """An independent oracle of the steps: here the minimum is known."""
    vectors, histories = world(80, 8, 0.5, 1)
    met = on_rows(pad(histories), 80)
    ridge = WEIGHTS.regularization * (tf.reduce_sum(met, axis=1, keepdims=True) + WEIGHTS.alpha * 80)
    start = tf.random.stateless_normal((4, 8), seed=(1, 2))
    found = newton_embeddings(LOSSES["quadratic"].full, tf.constant(vectors), met, WEIGHTS.alpha, ridge, start)
    expected = fold_in_many(vectors, vectors.T @ vectors, histories, WEIGHTS)
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3)


@without_closed_form
def test_no_client_ends_higher_than_where_it_began(name: LossName) -> None:
    """With scores so large that a full Newton step overshoots."""
    vectors, histories = world(80, 8, 20.0, 3)
    start = fold_in_many(vectors, vectors.T @ vectors, histories, WEIGHTS)
    before, _ = objective(name, vectors, histories, start)
    after, _ = objective(name, vectors, histories, loss_embeddings(vectors, histories, WEIGHTS, name))
    assert (after <= before * (1 + 1e-5)).all()


@without_closed_form
def test_somebody_without_history_has_the_zero_vector_under_softmax_and_low_scores_under_logistic(
    name: LossName,
) -> None:
    vectors, _ = world(80, 8, 0.5, 1)
    embedding = loss_embeddings(vectors, [np.empty(0, np.int32)], WEIGHTS, name)
    if name == "softmax":
        np.testing.assert_array_equal(embedding, np.zeros((1, 8)))
    else:
        assert (embedding @ vectors.T).mean() < 0
