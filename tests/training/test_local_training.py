"""The FedAvg client against a full copy of the item vectors for every client."""

import numpy as np
import pytest

from feature_store.fold_in import FoldInSettings, fold_in
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.local_training import local_training_update
from training.losses.embedding import loss_embeddings
from training.losses.local_loss import LOSSES
from training.losses.names import LossName
from training.padding import pad
from training.reconstruction import curvature_update
from training.tf import tf
from training.two_tower import TwoTower

WEIGHTS = FoldInSettings(alpha=0.3, regularization=0.02)

each_loss = pytest.mark.parametrize("loss", LOSSES)


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


def world() -> tuple[np.ndarray, list[np.ndarray]]:
    random = np.random.default_rng(8)
    vectors = random.standard_normal((25, 4)).astype(np.float32)
    return vectors, [random.permutation(25)[:n].astype(np.int32) for n in (1, 3, 7, 12)]


def halved_loss(loss: LossName, copy: tf.Variable, embedding: np.ndarray, history: np.ndarray) -> tf.Tensor:
    """Half of one client's loss as a function of its whole copy of the table."""
    met = np.isin(np.arange(25), history).astype(np.float32)
    value = LOSSES[loss].full.value(tf.linalg.matvec(copy, embedding)[None], met[None], WEIGHTS.alpha)[0]
    ridge = WEIGHTS.regularization * (met + WEIGHTS.alpha)
    return 0.5 * (value + tf.reduce_sum(ridge * tf.reduce_sum(tf.square(copy), axis=1)))


@each_loss
def test_a_copy_descends_its_clients_loss_whichever_it_is(loss: LossName) -> None:
    """Automatic differentiation on full tables is the oracle. A sampled loss draws every item here."""
    vectors, histories = world()
    update = local_training_update(vectors, histories, WEIGHTS, 2, 0.1, loss=loss, negatives=25)
    expected = np.zeros_like(vectors)
    for history, embedding in zip(histories, loss_embeddings(vectors, histories, WEIGHTS, loss), strict=True):
        copy = tf.Variable(vectors)
        for _ in range(2):
            with tf.GradientTape() as tape:
                value = halved_loss(loss, copy, embedding, history)
            copy.assign_sub(0.1 * tape.gradient(value, copy))
        expected += len(history) * (copy.numpy() - vectors)
    np.testing.assert_allclose(update.sums["item_delta"], expected, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("loss", ["quadratic", "softmax", "logistic"])
def test_one_epoch_is_a_gradient_step_on_the_loss_of_the_whole_model(loss: LossName) -> None:
    """FedSGD (McMahan et al. 2017, section 2), for clients with histories of one length: all count the same."""
    vectors, _ = world()
    random = np.random.default_rng(9)
    histories = [random.permutation(25)[:5].astype(np.int32) for _ in range(6)]
    tower = ItemTower(ItemFeatures.of_categories([()] * 25), 4)
    tower.set({"id_embedding": vectors})
    model = TwoTower(tower.network, WEIGHTS, loss)
    with tf.GradientTape() as tape:
        value = model.compute_loss(tf.constant(pad(histories)))
    gradient = tf.convert_to_tensor(tape.gradient(value, tower.network.trainable_variables)[0]).numpy()
    update = local_training_update(vectors, histories, WEIGHTS, 1, 0.1, loss=loss)
    np.testing.assert_allclose(update.sums["item_delta"], 5 * -0.1 * gradient / 2, rtol=2e-3, atol=2e-4)
    of_items = WEIGHTS.regularization * (update.sums["item_counts"] + WEIGHTS.alpha * 6) @ (vectors**2).sum(axis=1)
    assert update.loss == pytest.approx(float(value) - float(of_items), rel=1e-4)


@each_loss
def test_a_cohort_is_the_sum_of_its_clients_one_at_a_time(loss: LossName) -> None:
    """Nobody's numbers depend on who else is in the batch: a device, a cell and a simulation agree."""
    vectors, histories = world()
    together = local_training_update(vectors, histories, WEIGHTS, 2, 0.1, loss=loss, negatives=6)
    alone = [
        local_training_update(vectors, [history], WEIGHTS, 2, 0.1, loss=loss, negatives=6) for history in histories
    ]
    total = sum(alone[1:], start=alone[0])
    assert together.loss == pytest.approx(total.loss, rel=1e-5)
    for name, array in together.sums.items():
        np.testing.assert_allclose(total.sums[name], array, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss", ["sampled_softmax", "sampled_logistic"])
def test_items_that_were_neither_met_nor_drawn_only_shrink(loss: LossName) -> None:
    vectors, histories = world()
    update = local_training_update(vectors, histories[2:3], WEIGHTS, 1, 0.1, loss=loss, negatives=6)
    shrunk = -7 * 0.1 * WEIGHTS.regularization * WEIGHTS.alpha * vectors
    moved = ~np.isclose(update.sums["item_delta"], shrunk, rtol=1e-3, atol=1e-7).all(axis=1)
    assert moved.sum() == 7 + 6
    assert moved[histories[2]].all()


@pytest.mark.parametrize("loss", ["quadratic", "softmax"])
def test_a_proximal_term_without_bound_keeps_every_copy_where_it_was(loss: LossName) -> None:
    vectors, histories = world()
    free, held = (
        local_training_update(vectors, histories, WEIGHTS, 5, 0.1, loss=loss, proximal=proximal).sums["item_delta"]
        for proximal in (0.0, 1e6)
    )
    assert np.abs(held).max() < 1e-4 * np.abs(free).max()


@pytest.mark.parametrize("proximal", [0.0, 0.5, 50.0])
def test_a_copy_ends_where_its_loss_and_the_proximal_term_balance(proximal: float) -> None:
    """FedProx (Li et al. 2020, definition 2): after many epochs the gradient of both together is zero."""
    vectors, histories = world()
    history, weights = histories[2], FoldInSettings(alpha=0.3, regularization=0.3)
    update = local_training_update(vectors, [history], weights, 600, 0.2, loss="logistic", proximal=proximal)
    end = vectors + update.sums["item_delta"] / 7
    embedding = loss_embeddings(vectors, [history], weights, "logistic")[0].astype(np.float64)
    met = np.isin(np.arange(25), history)
    slope = np.where(met, 1, 0.3) / (1 + np.exp(-(end @ embedding))) - met
    gradient = 0.5 * np.outer(slope, embedding) + 0.3 * (met + 0.3)[:, None] * end
    np.testing.assert_allclose(gradient + proximal * (end - vectors), 0, atol=1e-4 * max(1.0, proximal))
    assert np.abs(end - vectors).max() > 1e-3
