"""Local SGD on a Keras model."""

from typing import Any

import numpy as np
import pytest

from feature_store.errors import BadInput
from training.keras_client import Assignment, Examples, KerasClient, LocalSgdSettings
from training.server_state import ServerState
from training.tf import tf, tf_keras

RANDOM = np.random.default_rng(1)
DEVICES = [
    Examples(RANDOM.standard_normal((n, 4)).astype(np.float32), RANDOM.integers(0, 3, n).astype(np.int64))
    for n in (6, 6, 7)
]


def softmax_regression() -> Any:
    layer = tf_keras.layers.Dense(3, "softmax", kernel_initializer="zeros", name="dense")
    return tf_keras.Sequential([tf_keras.Input((4,)), layer])


def client(*, xla: bool = False, **changes: object) -> KerasClient:
    settings = LocalSgdSettings.model_validate({"learning_rate": 0.3, "batch_size": 100} | changes)
    return KerasClient(softmax_regression(), tf_keras.losses.sparse_categorical_crossentropy, settings, seed=3, xla=xla)


def named(kernel: np.ndarray, bias: np.ndarray, like: KerasClient) -> dict[str, np.ndarray]:
    values = {(4, 3): kernel, (3,): bias}
    return {name: values[a.shape].astype(np.float32) for name, a in like.parameters().items()}


def gradient(W: np.ndarray, b: np.ndarray, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Of the mean cross-entropy of softmax regression, in closed form."""
    scores = np.exp(examples.inputs @ W + b)
    errors = scores / scores.sum(axis=1, keepdims=True) - np.eye(3)[examples.labels]
    return examples.inputs.T @ errors / len(errors), errors.mean(axis=0)


@pytest.mark.parametrize(("proximal", "xla"), [(0.0, False), (0.5, False), (0.5, True)])
def test_full_batches_are_gradient_descent_on_the_clients_mean_loss(proximal: float, *, xla: bool) -> None:
    trained = client(epochs=4, proximal=proximal, xla=xla)
    W0, b0 = RANDOM.standard_normal((4, 3)) / 2, RANDOM.standard_normal(3) / 2
    sent = Assignment(named(W0, b0, trained), 0)
    update = trained.client_update(sent, DEVICES)
    expected = {(4, 3): np.zeros((4, 3)), (3,): np.zeros(3)}
    for examples in DEVICES:
        W, b = W0, b0
        for _ in range(4):
            dW, db = gradient(W, b, examples)
            W, b = W - 0.3 * (dW + proximal * (W - W0)), b - 0.3 * (db + proximal * (b - b0))
        expected[4, 3] += len(examples.labels) * (W - W0)
        expected[3,] += len(examples.labels) * (b - b0)
    for name, array in trained.parameters().items():
        np.testing.assert_allclose(update.sums[name], expected[array.shape], rtol=1e-4, atol=1e-5)
    assert update.sums["weight"].tolist() == [6 + 6 + 7]
    assert update.clients == 3


def test_every_example_counts_once_an_epoch_also_in_the_last_smaller_batch() -> None:
    """With a linear loss each step moves by its batch's mean input, whatever the order: batches of 4, then of 2."""

    def linear(labels: Any, outputs: Any) -> Any:
        return -tf.reduce_sum(outputs, axis=1) * tf.cast(labels, tf.float32)

    model = tf_keras.Sequential(
        [tf_keras.Input((4,)), tf_keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
    )
    settings = LocalSgdSettings(epochs=2, learning_rate=1.0, batch_size=4)
    trained = KerasClient(model, linear, settings, seed=1)
    same = Examples(np.ones((6, 4), np.float32), np.ones(6, np.int64))
    update = trained.client_update(Assignment(trained.parameters(), 0), [same])
    (name,) = trained.parameters()
    np.testing.assert_allclose(update.sums[name] / 6, np.full((4, 1), 4.0))  # 2 epochs of 2 steps of length 1


def test_clients_together_are_the_sum_of_clients_apart() -> None:
    trained = client(epochs=2, batch_size=4)
    sent = Assignment(trained.parameters(), 2)
    together = trained.client_update(sent, DEVICES)
    apart = [trained.client_update(sent, [examples]) for examples in DEVICES]
    for name, array in together.sums.items():
        np.testing.assert_allclose(array, sum(update.sums[name] for update in apart), rtol=1e-5, atol=1e-6)
    assert together.loss == pytest.approx(sum(update.loss for update in apart))
    assert apart[0].loss == pytest.approx(np.log(3))  # of a model that knows nothing of three labels


def test_the_order_of_the_examples_follows_from_seed_and_round() -> None:
    trained = client(batch_size=2)
    first, again, later = (
        trained.client_update(Assignment(trained.broadcast(ServerState(t, sent)).parameters, t), DEVICES[:1])
        for sent in [named(np.zeros((4, 3)), np.zeros(3), trained)]
        for t in (0, 0, 1)
    )
    assert all(np.array_equal(array, again.sums[name]) for name, array in first.sums.items())
    assert any(not np.array_equal(array, later.sums[name]) for name, array in first.sums.items())


def test_a_strong_proximal_term_keeps_clients_where_they_were() -> None:
    lengths = []
    for proximal in (0.0, 3.0):
        trained = client(epochs=50, proximal=proximal)
        update = trained.client_update(Assignment(trained.parameters(), 0), DEVICES[:1])
        lengths.append(sum(float(np.square(update.sums[name]).sum()) for name in trained.parameters()) ** 0.5)
    assert lengths[1] < lengths[0] / 3


def test_outputs_are_the_models_with_these_parameters() -> None:
    model = client()
    W, b = RANDOM.standard_normal((4, 3)), RANDOM.standard_normal(3)
    scores = np.exp(DEVICES[0].inputs @ W + b)
    expected = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.outputs(named(W, b, model), DEVICES[0].inputs), expected, rtol=1e-4)


def test_a_model_that_learns_outside_its_trainable_weights_is_refused() -> None:
    model = tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.BatchNormalization()])
    with pytest.raises(BadInput, match="moving_mean"):
        KerasClient(model, tf_keras.losses.mean_squared_error, LocalSgdSettings(), seed=1)


def test_weights_without_names_of_their_own_are_refused() -> None:
    parts = [tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(4, name="same")]) for _ in range(2)]
    with pytest.raises(BadInput, match="names of their own"):
        KerasClient(
            tf_keras.Sequential([tf_keras.Input((4,)), *parts]),
            tf_keras.losses.mean_squared_error,
            LocalSgdSettings(),
            seed=1,
        )


def test_parameters_of_another_model_are_refused() -> None:
    with pytest.raises(BadInput, match=r"same names and shapes; got .*\(4, 3\).*\(4, 2\)"):
        client().outputs({"dense/kernel": np.zeros((4, 2), np.float32)}, DEVICES[0].inputs)
