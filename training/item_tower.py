"""The item tower: from an item's id and features to its item vector.

The tower is global and lives on the server. Clients receive only what comes out of it, the item vectors, and
give back sums of gradients with respect to them; `pull_back` carries such a gradient through the tower to its
parameters by the chain rule. A device's work and bytes do not depend on what is inside.
"""

from typing import Any, TypeAlias

import numpy as np

from feature_store.arrays import Float32Array
from training.item_features import ItemFeatures
from training.named_arrays import NamedArrays
from training.tf import tf
from training.tower_network import ID_EMBEDDING, TowerNetwork, variable_name

Parameters: TypeAlias = NamedArrays

__all__ = ["ID_EMBEDDING", "ItemTower", "Parameters"]

HIDDEN = "text_hidden/kernel"


class ItemTower:
    """A tower network as pure functions of its parameters.

    features: of the items, in the order of the vocabulary.
    dim: numbers in an item vector.
    text_width: units of a hidden layer behind the encoded titles; 0 has none.
    """

    def __init__(self, features: ItemFeatures, dim: int, text_width: int = 0) -> None:
        self.items, self.dim = features.items, dim
        self.network = TowerNetwork(features, dim, text_width)
        self.network(None)  # makes the variables
        self._variables = {variable_name(v): v for v in self.network.trainable_variables}
        self._content_names = [name for name in self._variables if name != ID_EMBEDDING]
        self._content_variables = [self._variables[name] for name in self._content_names]
        self._inside: Parameters | None = None
        self._last: tuple[Parameters, Float32Array] | None = None
        self._forward = tf.function(lambda: self.network(None))
        self._content = tf.function(self.network.content)
        self._pulled_back = tf.function(self._vector_jacobian)
        self._pushed_forward = tf.function(self._jacobian_vector)

    @property
    def has_content(self) -> bool:
        """Whether there is anything beside the id embedding."""
        return bool(self._content_variables)

    def init(self, seed: int, scale: float = 0.1) -> Parameters:
        """Parameters before training: id embeddings ~ N(0, scale²/dim), so that |q| is about `scale`; content is 0.

        With content at zero, training starts where it would without features, and adds what they explain. A hidden
        layer starts at N(0, 2/inputs) (He et al. 2015, section 2.2), as from zero it would never move.
        """
        random = np.random.default_rng([seed, self.items, self.dim])
        parameters = {name: np.zeros(v.shape, np.float32) for name, v in self._variables.items()}
        parameters[ID_EMBEDDING] = _normal(random, (self.items, self.dim), scale / np.sqrt(self.dim))
        if HIDDEN in parameters:
            inputs, width = parameters[HIDDEN].shape
            parameters[HIDDEN] = _normal(random, (inputs, width), np.sqrt(2 / inputs))
        return parameters

    def item_vectors(self, parameters: Parameters) -> Float32Array:
        """Q, shape (items, dim); read-only, as all who ask for the same parameters share it.

        The vectors of the parameters asked for last are kept: broadcast, server step and validation of a round ask
        for the same ones, and the forward pass is run once.
        """
        if self._last is None or self._last[0] is not parameters:
            self._put(parameters)
            vectors: Float32Array = self._forward().numpy()
            vectors.flags.writeable = False
            self._last = (parameters, vectors)
        return self._last[1]

    def content_vectors(self, parameters: Parameters) -> Float32Array:
        """What Q is without the id embedding, shape (items, dim): the vectors of items that nobody has met."""
        if not self.has_content:
            return np.zeros((self.items, self.dim), np.float32)
        self._put(parameters)
        vectors: Float32Array = self._content().numpy()
        return vectors

    def pull_back(self, parameters: Parameters, gradient: Float32Array) -> Parameters:
        """The gradient with respect to the parameters, from the one with respect to Q, shape (items, dim).

        It is Jᵀ·gradient with J the Jacobian of the tower at these parameters, for any tower that Keras can
        differentiate.
        """
        return {ID_EMBEDDING: gradient, **self.pull_back_content(parameters, gradient)}

    def pull_back_content(self, parameters: Parameters, gradient: Float32Array) -> Parameters:
        """The part of `pull_back` without the id embedding, whose own is the gradient as it came."""
        if not self.has_content:
            return {}
        self._put(parameters)
        gradients = self._pulled_back(tf.constant(gradient))
        return {name: g.numpy() for name, g in zip(self._content_names, gradients, strict=True)}

    def push_forward(self, parameters: Parameters, direction: Parameters) -> Float32Array:
        """How content moves when the parameters move along `direction`: J·direction, shape (items, dim).

        The id embedding is no part of it. For a tower of columns and linear projections it is content itself, at the
        parameters `direction`.
        """
        self._put(parameters)
        tangents = [tf.constant(direction[name]) for name in self._content_names]
        pushed: Float32Array = self._pushed_forward(tangents).numpy()
        return pushed

    def set(self, parameters: Parameters) -> None:
        """Put the parameters into the network."""
        for name, variable in self._variables.items():
            variable.assign(parameters[name])
        self._inside = parameters

    def _put(self, parameters: Parameters) -> None:
        """`set`, unless they are there: a fit asks for many products at the same parameters."""
        if self._inside is not parameters:
            self.set(parameters)

    def _vector_jacobian(self, gradient: Any) -> Any:
        with tf.GradientTape() as tape:
            vectors = self.network.content()
        gradients = tape.gradient(vectors, self._content_variables, output_gradients=gradient)
        return [tf.convert_to_tensor(g) for g in gradients]

    def _jacobian_vector(self, tangents: Any) -> Any:
        with tf.autodiff.ForwardAccumulator(self._content_variables, tangents) as pushed:
            content = self.network.content()
        return pushed.jvp(content)


def _normal(random: np.random.Generator, shape: tuple[int, int], deviation: float) -> Float32Array:
    draws: Float32Array = random.standard_normal(shape, np.float32) * np.float32(deviation)
    return draws
