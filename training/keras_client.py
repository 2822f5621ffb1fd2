"""Local SGD on any Keras model: the client of federated averaging over labelled examples.

McMahan et al. 2017, algorithm 1 (ClientUpdate): from the global parameters, E epochs of mini-batch SGD over the
client's own examples. With a proximal term μ/2·|θ − θ_global|² added to the loss it is FedProx's (Li et al. 2020,
algorithm 2), which keeps clients of very different data from drifting apart.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from feature_store.arrays import Float32Array, Int64Array
from feature_store.errors import BadInput
from training.aggregation import total
from training.client_update import WEIGHT, ClientUpdate
from training.named_arrays import NamedArrays, mapped, require_same
from training.server_state import ServerState
from training.tf import tf


class Examples(NamedTuple):
    """What one client has: inputs, shape (examples, ...), and the label of each, shape (examples,)."""

    inputs: Float32Array
    labels: Int64Array


class Assignment(NamedTuple):
    """What every client of a round receives: the global parameters, and how many rounds were done before."""

    parameters: NamedArrays
    round_number: int


class LocalSgdSettings(BaseModel):
    """How a client trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=1, ge=1, description="E, passes over the client's examples")
    learning_rate: float = Field(default=0.1, gt=0, description="α_i")
    batch_size: int = Field(default=20, ge=1, description="examples of a step")
    proximal: float = Field(default=0.0, ge=0, description="μ of FedProx; 0 is FedAvg")


class KerasClient:
    """A Keras model as pure functions of its trainable parameters.

    model: built, of named layers: parameters go by name, and Keras' own names differ from model to model. All that
        it learns is in trainable weights: moving statistics, as of batch normalisation, have no mean over clients
        and are refused.
    loss: from labels and the model's outputs to the loss of each example.
    settings: see there.
    seed: of the order of the examples, which follows from it and the round.
    xla: compile the steps, once for each number of examples that a client has: worth it where many clients have
        the same, and ruinous where each has its own.
    """

    def __init__(
        self, model: Any, loss: Callable[[Any, Any], Any], settings: LocalSgdSettings, *, seed: int, xla: bool = False
    ) -> None:
        if model.non_trainable_weights:
            names = [weight.name for weight in model.non_trainable_weights]
            raise BadInput(f"clients train trainable weights only; the model also has {names}")
        self._variables = {variable.name.removesuffix(":0"): variable for variable in model.trainable_variables}
        if len(self._variables) != len(model.trainable_variables):
            raise BadInput(f"weights need names of their own; got {[v.name for v in model.trainable_variables]}")
        self._model, self._loss, self._settings, self._seed = model, loss, settings, seed
        self._train = tf.function(self._steps, reduce_retracing=True, jit_compile=xla)

    def parameters(self) -> NamedArrays:
        """The parameters that the model has now, by name."""
        return {name: variable.numpy() for name, variable in self._variables.items()}

    def broadcast(self, state: ServerState) -> Assignment:
        """What the clients of the next round receive."""
        return Assignment(state.parameters, state.round_number)

    def client_update(self, sent: Assignment, clients: Sequence[Examples]) -> ClientUpdate:
        """The summed, weighted update of these clients.

        Returns:
            By name of the parameter, n·(local minus global), summed over the clients, with n the client's examples;
            and `weight`, (1,): n, summed.
        """
        return total(self._update(sent, examples) for examples in clients)

    def outputs(self, parameters: NamedArrays, inputs: Float32Array) -> Float32Array:
        """What the model gives for these inputs, with these parameters."""
        self._assign(parameters)
        outputs: Float32Array = self._model(tf.constant(inputs), training=False).numpy()
        return outputs

    def _update(self, sent: Assignment, examples: Examples) -> ClientUpdate:
        n = len(examples.labels)
        self._assign(sent.parameters)
        loss = self._train(
            tf.constant(examples.inputs), tf.constant(examples.labels), tf.constant(self._batches(n, sent.round_number))
        )
        deltas = mapped(lambda local, old: np.float32(n) * (local - old), self.parameters(), sent.parameters)
        return ClientUpdate({**deltas, WEIGHT: np.full(1, n, np.float32)}, float(loss), 1)

    def _batches(self, examples: int, round_number: int) -> Int64Array:
        """Example numbers of each step, shape (steps, batch); a last, smaller batch of an epoch is filled with −1."""
        random = np.random.default_rng([self._seed, round_number])
        size = min(self._settings.batch_size, examples)
        padded = -(-examples // size) * size
        orders = np.full((self._settings.epochs, padded), -1)
        for order in orders:
            order[:examples] = random.permutation(examples)
        return orders.reshape(-1, size)

    def _steps(self, inputs: Any, labels: Any, batches: Any) -> Any:
        """Take the steps; gives the mean loss before the first."""
        variables = list(self._variables.values())
        anchors = [tf.identity(variable) for variable in variables]
        before = tf.reduce_mean(self._loss(labels, self._model(inputs, training=False)))
        for batch in batches:
            rows, present = tf.maximum(batch, 0), tf.cast(batch >= 0, tf.float32)
            with tf.GradientTape() as tape:
                losses = self._loss(tf.gather(labels, rows), self._model(tf.gather(inputs, rows), training=True))
                loss = tf.reduce_sum(losses * present) / tf.reduce_sum(present)
            for variable, anchor, gradient in zip(variables, anchors, tape.gradient(loss, variables), strict=True):
                pull = self._settings.proximal * (variable - anchor)
                variable.assign_sub(self._settings.learning_rate * (gradient + pull))
        return before

    def _assign(self, parameters: NamedArrays) -> None:
        require_same(self._variables, parameters)
        for name, variable in self._variables.items():
            variable.assign(parameters[name])
