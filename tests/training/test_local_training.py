"""The FedAvg client against a full copy of the item vectors for every client."""

import numpy as np
import pytest

from feature_store.fold_in import FoldInSettings, fold_in
from training.local_training import local_training_update
from training.reconstruction import curvature_update

WEIGHTS = FoldInSettings(alpha=0.3, regularization=0.02)


def trained_copy(Q: np.ndarray, history: np.ndarray, epochs: int, rate: float) -> np.ndarray:
    """Gradient descent on half the client's loss, with its user embedding fixed, on a copy of the whole table."""
    p = fold_in(Q, Q.T @ Q, history, WEIGHTS).astype(np.float64)
    local = Q.astype(np.float64)
    for _ in range(epochs):
        gradient = WEIGHTS.alpha * np.outer(local @ p, p) + WEIGHTS.alpha * WEIGHTS.regularization * local
        for item in history:
            gradient[item] += (local[item] @ p - 1) * p + WEIGHTS.regularization * local[item]
        local = local - rate * gradient
    return local


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_the_update_is_the_weighted_sum_of_what_full_copies_learned(epochs: int) -> None:
    random = np.random.default_rng(8)
    Q = random.standard_normal((25, 4)).astype(np.float32)
    histories = [random.permutation(25)[:n].astype(np.int32) for n in (1, 3, 7, 12)]
    update = local_training_update(Q, histories, WEIGHTS, epochs=epochs, learning_rate=0.2)
    expected = sum(len(h) * (trained_copy(Q, h, epochs, 0.2) - Q) for h in histories)
    np.testing.assert_allclose(update.sums["item_delta"], expected, rtol=2e-3, atol=2e-4)
    assert update.sums["weight"].tolist() == [1 + 3 + 7 + 12]
    assert update.loss == pytest.approx(curvature_update(Q, histories, WEIGHTS).loss, rel=1e-4)  # it is the same loss
    np.testing.assert_array_equal(update.sums["item_counts"], np.bincount(np.concatenate(histories), minlength=25))


def test_many_small_batches_give_what_one_gives() -> None:
    random = np.random.default_rng(8)
    Q = random.standard_normal((25, 4)).astype(np.float32)
    histories = [random.permutation(25)[:n].astype(np.int32) for n in (1, 3, 7, 12, 2, 2)]
    whole = local_training_update(Q, histories, WEIGHTS, epochs=2, learning_rate=0.2)
    batched = local_training_update(Q, histories, WEIGHTS, epochs=2, learning_rate=0.2, entries=50)
    assert batched.clients == whole.clients == 6
    for name, array in whole.sums.items():
        np.testing.assert_allclose(batched.sums[name], array, rtol=1e-4, atol=1e-5)
