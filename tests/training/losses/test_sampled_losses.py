"""Sampled losses estimate the full ones: exactly where everything is drawn, on average where little is."""

import numpy as np
import pytest

from training.losses.local_loss import LOSSES
from training.losses.names import LossName
from training.losses.negatives import sample_negatives
from training.losses.rows import at_rows, on_rows
from training.losses.sampled_softmax import sampled_softmax
from training.padding import PADDING, pad
from training.tf import tf

ITEMS = 60
ALPHA = tf.constant(0.3)
RANDOM = np.random.default_rng(6)
HISTORIES = [RANDOM.permutation(ITEMS)[:n].astype(np.int32) for n in (1, 4, 9)]
PADDED = pad(HISTORIES)
MET = on_rows(PADDED, ITEMS)
SCORES = tf.constant(RANDOM.normal(size=(3, ITEMS)).astype(np.float32))

sampled_names = pytest.mark.parametrize("name", ["sampled_softmax", "sampled_logistic"])


def slopes_of_samples(name: LossName, size: int, draws: int) -> np.ndarray:
    """The estimated slopes of that many rounds, shape (draws, clients, items)."""
    estimate = LOSSES[name].estimate
    assert estimate is not None
    compiled = tf.function(estimate)
    slopes = []
    for draw in range(draws):
        negatives = sample_negatives(np.full((ITEMS, 1), draw, np.float32), PADDED, size)
        slopes.append(compiled(SCORES, MET, ALPHA, tf.constant(PADDED), *map(tf.constant, negatives)).numpy())
    return np.array(slopes)


@sampled_names
@pytest.mark.parametrize("size", [ITEMS, ITEMS + 10])
def test_a_sample_of_everything_gives_the_full_slope(name: LossName, size: int) -> None:
    full = LOSSES[name].full.slope(SCORES, MET, ALPHA)
    np.testing.assert_allclose(slopes_of_samples(name, size, 1)[0], full, rtol=1e-4, atol=1e-5)


@sampled_names
def test_the_mean_over_draws_is_the_full_slope(name: LossName) -> None:
    """The logistic estimate is unbiased; that of the softmax nearly: its denominator is, its inverse is not.

    Without the correction by the probability, 25 of 59 unmet items would have to carry what all of them do.
    """
    full = LOSSES[name].full.slope(SCORES, MET, ALPHA).numpy()
    mean = slopes_of_samples(name, 25, 200).mean(axis=0)
    assert (np.abs(mean - full).max(axis=1) < 0.15 * np.abs(full).max(axis=1)).all()
    unmet = MET.numpy() == 0
    assert mean[unmet].sum() == pytest.approx(full[unmet].sum(), rel=0.03)


def test_larger_samples_come_nearer_to_the_full_softmax_loss() -> None:
    full = LOSSES["softmax"].full.value(SCORES, MET, ALPHA).numpy()
    compiled = tf.function(sampled_softmax)

    def error(size: int) -> float:
        values = []
        for draw in range(40):
            rows, probability = map(tf.constant, sample_negatives(np.full((ITEMS, 1), draw, np.float32), PADDED, size))
            scores = at_rows(SCORES, PADDED), at_rows(SCORES, rows)
            values.append(compiled(*scores, tf.constant(PADDED), rows, probability).numpy())
        return float(np.abs(np.array(values) - full).mean())

    errors = [error(size) for size in (5, 20, 45)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_an_item_met_that_stands_among_the_negatives_is_no_negative_of_itself() -> None:
    rows = np.array([[8, 3, PADDING]], np.int32)
    padded = np.array([[3]], np.int32)
    scores = np.array([[1.0]], np.float32), np.array([[0.5, 1.0, 9.0]], np.float32)
    value = sampled_softmax(*scores, padded, rows, np.ones(1, np.float32)).numpy()
    np.testing.assert_allclose(value, [np.log(np.exp(1.0) + np.exp(0.5)) - 1.0], rtol=1e-5)
