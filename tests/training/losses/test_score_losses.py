"""Each loss against automatic differentiation and against its formula in plain numbers."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.losses.logistic import LOGISTIC
from training.losses.quadratic import QUADRATIC
from training.losses.score_loss import ScoreLoss
from training.losses.softmax import SOFTMAX
from training.tf import tf, tfrs

LOSSES = {"quadratic": QUADRATIC, "softmax": SOFTMAX, "logistic": LOGISTIC}
ALPHA = 0.3

scores_of_three = arrays(np.float32, (3, 6), elements=st.floats(-8, 8, width=32))
met_of_three = arrays(np.float32, (3, 6), elements=st.sampled_from([0.0, 1.0]))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@settings(max_examples=15)
@given(scores=scores_of_three, met=met_of_three)
def test_the_slope_is_the_derivative_of_the_value(loss: ScoreLoss, scores: np.ndarray, met: np.ndarray) -> None:
    variable = tf.Variable(scores)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(loss.value(variable, met, ALPHA))
    np.testing.assert_allclose(loss.slope(scores, met, ALPHA), tape.gradient(value, variable), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@settings(max_examples=15)
@given(scores=scores_of_three, met=met_of_three, along=scores_of_three)
def test_the_bend_is_the_derivative_of_the_slope(
    loss: ScoreLoss, scores: np.ndarray, met: np.ndarray, along: np.ndarray
) -> None:
    """All Hessians are symmetric, so Hessian · along is the gradient of slope · along."""
    variable = tf.Variable(scores)
    with tf.GradientTape() as tape:
        product = tf.reduce_sum(loss.slope(variable, met, ALPHA) * along)
    expected = tf.convert_to_tensor(tape.gradient(product, variable))
    np.testing.assert_allclose(loss.bend(scores, met, ALPHA, along), expected, rtol=1e-3, atol=1e-4)


def quadratic(scores: list[float], met: set[int]) -> float:
    return sum((1 - scores[i]) ** 2 for i in met) + ALPHA * sum(s**2 for s in scores)


def softmax(scores: list[float], met: set[int]) -> float:
    total = sum(math.exp(s) for s in scores)
    return -sum(math.log(math.exp(scores[i]) / total) for i in met)


def logistic(scores: list[float], met: set[int]) -> float:
    chance = [1 / (1 + math.exp(-s)) for s in scores]
    return -sum(math.log(c) if i in met else ALPHA * math.log(1 - c) for i, c in enumerate(chance))


@pytest.mark.parametrize(
    ("loss", "formula"), [(QUADRATIC, quadratic), (SOFTMAX, softmax), (LOGISTIC, logistic)], ids=LOSSES
)
def test_the_value_is_what_the_formula_says(loss: ScoreLoss, formula: Callable[[list[float], set[int]], float]) -> None:
    scores = np.random.default_rng(4).normal(size=(2, 6)).astype(np.float32)
    met = [{0, 3, 4}, {5}]
    marked = np.array([[float(i in items) for i in range(6)] for items in met], np.float32)
    expected = [formula(row.tolist(), items) for row, items in zip(scores, met, strict=True)]
    np.testing.assert_allclose(loss.value(scores, marked, ALPHA), expected, rtol=1e-5)


def test_scores_of_any_size_give_finite_losses() -> None:
    scores = np.array([[-80.0, 90.0, 80.0, 0.0]], np.float32)
    met = np.array([[1.0, 0.0, 1.0, 0.0]], np.float32)
    for loss in (SOFTMAX, LOGISTIC):
        assert np.isfinite(loss.value(scores, met, 1.0)).all()
        assert np.isfinite(loss.slope(scores, met, 1.0)).all()


def test_the_softmax_loss_is_the_retrieval_task_of_tfrs_over_all_items() -> None:
    """For each item met the task is given the embedding as a query, and that item first among all items."""
    random = np.random.default_rng(2)
    vectors = random.normal(size=(9, 4)).astype(np.float32)
    embedding = random.normal(size=4).astype(np.float32)
    history = [7, 2, 3]
    ordered = [*history, *sorted(set(range(9)) - set(history))]
    task = tfrs.tasks.Retrieval()
    expected = task(np.tile(embedding, (3, 1)), vectors[ordered], compute_metrics=False)
    met = np.isin(np.arange(9), history).astype(np.float32)
    np.testing.assert_allclose(SOFTMAX.value((vectors @ embedding)[None], met[None], ALPHA), [expected], rtol=1e-5)
