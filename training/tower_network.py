"""The network inside the item tower: a Keras model from the catalogue to all item vectors."""

import re
from typing import Any

from training.item_features import ItemFeatures, NamedColumn
from training.tf import tf, tf_keras

ID_EMBEDDING = "id_embedding"


class TowerNetwork(tf_keras.Model):  # type: ignore[misc]  # Keras has no types
    """q = id embedding + content, shape (items, dim).

    content = Σ over columns of names: mean of the embeddings of the item's names
            + a linear projection of the standardised numbers
            + a projection of the encoded title, linear or with one hidden layer of `text_width` rectified units.

    The catalogue is part of the network: a call takes nothing and gives the vectors of all items.
    """

    def __init__(self, features: ItemFeatures, dim: int, text_width: int = 0) -> None:
        super().__init__(name="item_tower")
        layers = tf_keras.layers
        self._rows = tf.range(features.items)
        self.id_embedding = layers.Embedding(features.items, dim, name=ID_EMBEDDING)
        self._named = [
            MeanEmbedding(column, dim, name)
            for name, column in zip(layer_names(list(features.named)), features.named.values(), strict=True)
        ]
        self._numeric = self._numeric_projection = None
        if features.numeric.size:
            self._numeric = tf.constant(features.numeric)
            self._numeric_projection = layers.Dense(dim, use_bias=False, name="numeric_projection")
        self._text = self._text_hidden = self._text_projection = None
        if features.text.size:
            self._text = tf.constant(features.text)
            if text_width:
                self._text_hidden = layers.Dense(text_width, activation="relu", name="text_hidden")
            self._text_projection = layers.Dense(dim, name="text_projection")

    def call(self, inputs: Any = None) -> Any:
        """The vectors of all items; `inputs` is Keras' and not used."""
        del inputs
        vectors = self.id_embedding(self._rows)
        content = self.content()
        return vectors if content is None else vectors + content

    def content(self) -> Any:
        """The vectors without the id embedding; None where there are no features."""
        parts = [embedding(self._rows) for embedding in self._named]
        if self._numeric_projection is not None:
            parts.append(self._numeric_projection(self._numeric))
        if self._text_projection is not None:
            text = self._text if self._text_hidden is None else self._text_hidden(self._text)
            parts.append(self._text_projection(text))
        return tf.add_n(parts) if parts else None


class MeanEmbedding(tf_keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The mean of the embeddings of each row's names; zeros for a row without any.

    It reads its table as a tensor, where Keras' own layer reads a variable: forward-mode derivatives need that.
    """

    def __init__(self, column: NamedColumn, dim: int, name: str) -> None:
        super().__init__(name=name)
        self._numbers = tf.constant(column.numbers)
        self._shape = (len(column.names) + 1, dim)

    def build(self, input_shape: Any) -> None:
        """Make the table, a row for each number; row 0 stands for no name, and nothing is made of it."""
        self.embeddings = self.add_weight(name="embeddings", shape=self._shape, initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Shape (rows, dim); `inputs` is Keras' and not used."""
        del inputs
        present = tf.cast(self._numbers > 0, tf.float32)
        shares = present / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
        found = tf.gather(tf.convert_to_tensor(self.embeddings), self._numbers)
        return tf.reduce_sum(found * shares[:, :, None], axis=1)


def layer_names(columns: list[str]) -> list[str]:
    """A name for the embedding of each column that TensorFlow accepts; where two would be alike, with a number.

    >>> layer_names(["category", "median price", "median-price"])
    ['category_embedding', 'median_price_embedding', 'median_price_embedding_2']
    """
    taken = {ID_EMBEDDING}
    names = []
    for number, column in enumerate(columns):
        name = "x"[: not column[:1].isalnum()] + re.sub("[^A-Za-z0-9]+", "_", column).rstrip("_") + "_embedding"
        if name in taken:
            name = f"{name}_{number}"
        taken.add(name)
        names.append(name)
    return names


def variable_name(variable: Any) -> str:
    """What the parameter of a variable is called: its layer, and which of the layer's it is where there are two.

    `item_tower/id_embedding/embeddings:0` is `id_embedding`, `item_tower/text_hidden/kernel:0` is `text_hidden/kernel`.
    """
    layer, kind = variable.name.removesuffix(":0").split("/")[-2:]
    return str(layer) if kind == "embeddings" else f"{layer}/{kind}"
