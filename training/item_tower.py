"""The item tower: from an item's id and features to its item vector.

The tower is global and lives on the server. Clients receive only what comes out of it, the item vectors, and
give back sums of gradients with respect to them; `pull_back` carries such a gradient through the tower to its
parameters by the chain rule. A device's work and bytes do not depend on what is inside.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from feature_store.arrays import Float32Array
from training.item_features import ItemFeatures
from training.tf import tf, tf_keras

Parameters: TypeAlias = Mapping[str, Float32Array]

ID_EMBEDDING = "id_embedding"
CATEGORY_EMBEDDING = "category_embedding"


class TowerNetwork(tf_keras.Model):  # type: ignore[misc]  # Keras has no types
    """q = id embedding + mean of the item's category embeddings; shape (items, dim)."""

    def __init__(self, features: ItemFeatures, dim: int) -> None:
        super().__init__(name="item_tower")
        self._rows = tf.range(features.items)
        self._categories = tf.constant(features.categories)
        self.id_embedding = tf_keras.layers.Embedding(features.items, dim, name=ID_EMBEDDING)
        self.category_embedding = None
        if features.category_names:
            categories = len(features.category_names) + 1
            self.category_embedding = tf_keras.layers.Embedding(categories, dim, name=CATEGORY_EMBEDDING)

    def call(self, inputs: Any = None) -> Any:
        """The vectors of all items; `inputs` is Keras' and not used, as the catalogue is part of the tower."""
        del inputs
        vectors = self.id_embedding(self._rows)
        if self.category_embedding is not None:
            present = tf.cast(self._categories > 0, tf.float32)
            shares = present / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
            vectors += tf.reduce_sum(self.category_embedding(self._categories) * shares[:, :, None], axis=1)
        return vectors


class ItemTower:
    """A tower network as pure functions of its parameters."""

    def __init__(self, features: ItemFeatures, dim: int) -> None:
        self.items, self.dim = features.items, dim
        self.network = TowerNetwork(features, dim)
        self.network(None)  # makes the variables
        self._variables = {v.name.split("/")[-2]: v for v in self.network.trainable_variables}

    def init(self, seed: int, scale: float = 0.1) -> Parameters:
        """Parameters before training: id embeddings ~ N(0, scale²/dim), so that |q| is about `scale`; the rest 0.

        With features at zero, training starts where it would without them, and adds what they explain.
        """
        random = np.random.default_rng([seed, self.items, self.dim])
        parameters = {name: np.zeros(v.shape, np.float32) for name, v in self._variables.items()}
        parameters[ID_EMBEDDING] = random.standard_normal((self.items, self.dim), np.float32)
        parameters[ID_EMBEDDING] *= np.float32(scale / np.sqrt(self.dim))
        return parameters

    def item_vectors(self, parameters: Parameters) -> Float32Array:
        """Q, shape (items, dim)."""
        self.set(parameters)
        vectors: Float32Array = self.network(None).numpy()
        return vectors

    def pull_back(self, parameters: Parameters, gradient: Float32Array) -> Parameters:
        """The gradient with respect to the parameters, from the one with respect to Q, shape (items, dim).

        It is Jᵀ·gradient with J the Jacobian of the tower at these parameters, for any tower that Keras can
        differentiate.
        """
        self.set(parameters)
        with tf.GradientTape() as tape:
            vectors = self.network(None)
        variables = list(self._variables.values())
        gradients = tape.gradient(vectors, variables, output_gradients=tf.constant(gradient))
        return {name: tf.convert_to_tensor(g).numpy() for name, g in zip(self._variables, gradients, strict=True)}

    def set(self, parameters: Parameters) -> None:
        """Put the parameters into the network."""
        for name, variable in self._variables.items():
            variable.assign(parameters[name])
