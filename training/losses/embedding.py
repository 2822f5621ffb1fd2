"""The user embedding of a loss: what a client reconstructs before it trains."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings
from training.losses.local_loss import LOSSES
from training.losses.names import LossName
from training.losses.newton import newton_embeddings
from training.losses.rows import on_rows
from training.padding import pad
from training.reconstruction import reconstruct
from training.tf import tf

_SCORES = 1 << 21  # entries of a (clients, items) matrix: 8 MiB


def loss_embeddings(
    item_vectors: Float32Array, histories: Sequence[Int32Array], settings: FoldInSettings, loss: LossName
) -> Float32Array:
    """The user embeddings of these histories under that loss, shape (clients, dim), in the order given.

    For the quadratic loss they are those of `feature_store.fold_in`. No history gives the zero vector.
    """
    size = max(1, _SCORES // len(item_vectors))
    alpha, regularization = tf.constant([settings.alpha, settings.regularization], tf.float32)
    vectors = tf.constant(item_vectors)
    batches = [pad(histories[start : start + size]) for start in range(0, len(histories), size)]
    return np.concatenate(
        [_embed(tf.constant(batch), vectors, alpha, regularization, loss=loss)[0].numpy() for batch in batches]
    )


def embed(loss: LossName, vectors: Any, padded: Any, alpha: Any, regularization: Any) -> tuple[Any, Any]:
    """The user embeddings of a padded batch: those that minimise value(Q p) + λ(|H| + α·items) |p|².

    For the quadratic loss that is one linear system; for the others it is where Newton steps from there end.

    Returns:
        The embeddings, (clients, dim), and 1 on the items of each history and 0 elsewhere, (clients, items).
    """
    gram = tf.matmul(vectors, vectors, transpose_a=True)
    start, _, present = reconstruct(vectors, gram, padded, alpha, regularization)
    met = on_rows(padded, tf.shape(vectors)[0])
    if loss == "quadratic":
        return start, met
    items = tf.cast(tf.shape(vectors)[0], tf.float32)
    ridge = regularization * (tf.reduce_sum(present, axis=1, keepdims=True) + alpha * items)
    return newton_embeddings(LOSSES[loss].full, vectors, met, alpha, ridge, start), met


@tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _embed(padded: Any, vectors: Any, alpha: Any, regularization: Any, *, loss: LossName) -> tuple[Any, Any]:
    return embed(loss, vectors, padded, alpha, regularization)
