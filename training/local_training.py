"""The FedAvg client: reconstruct the user embedding, then train a copy of the item vectors by gradient descent.

Federated averaging (McMahan et al. 2017, algorithm 1) lets each client run E epochs on its own copy of the
global parameters. The client here first reconstructs its user embedding p and keeps it fixed while it trains
the copy (Singhal et al. 2021, algorithm 1).

With p fixed, each gradient step of the implicit-feedback loss moves an item vector along p and towards zero
only, so that after any number of steps the copy is q_i ← a_i q_i + b_i p. Two numbers an item carry a client's
whole copy, and a batch of clients trains as two (clients, items) matrices: the same numbers as with a full
table a client, at 1/dim of the memory.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings
from training.client_update import ClientUpdate
from training.padding import padded_batches
from training.reconstruction import CELLS, reconstruct
from training.tf import tf

CLIENTS_BY_ITEMS = 1 << 21  # entries of a (clients, items) matrix: 8 MiB


def local_training_update(
    item_vectors: Float32Array,
    histories: Sequence[Int32Array],
    settings: FoldInSettings,
    epochs: int,
    learning_rate: float,
    entries: int = CLIENTS_BY_ITEMS,
) -> ClientUpdate:
    """The summed, weighted update of the clients with these histories.

    Args:
        item_vectors: Q as the server sent it, shape (items, dim).
        histories: distinct item rows of each client, none of them empty.
        settings: the weights α and λ of the loss.
        epochs: E, full-batch gradient steps on the local copy.
        learning_rate: of those steps, for the loss halved.
        entries: of a (clients, items) matrix, the bound on memory.

    Returns:
        item_delta, (items, dim): n·(local minus global), summed over the clients, with n the length of the history.
        weight, (1,): n, summed.
        item_counts, (items,): 1 on the rows of the history, summed.
    """
    items, dim = item_vectors.shape
    vectors = tf.constant(item_vectors)
    gram = tf.matmul(vectors, vectors, transpose_a=True)
    alpha, regularization, rate = tf.constant([settings.alpha, settings.regularization, learning_rate], tf.float32)
    total = ClientUpdate(
        sums={
            "item_delta": np.zeros((items, dim), np.float32),
            "weight": np.zeros(1, np.float32),
            "item_counts": np.zeros(items, np.float32),
        },
        loss=0.0,
        clients=0,
    )
    most = max(1, entries // items)
    for batch in padded_batches(histories, CELLS):
        for padded in (batch[start : start + most] for start in range(0, len(batch), most)):
            sums, loss = _batch_sums(
                vectors, gram, tf.constant(padded), alpha, regularization, rate, tf.constant(epochs)
            )
            total += ClientUpdate({name: sums[name].numpy() for name in total.sums}, float(loss), len(padded))
    return total


@tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _batch_sums(
    vectors: Any, gram: Any, padded: Any, alpha: Any, regularization: Any, rate: Any, epochs: Any
) -> tuple[dict[str, Any], Any]:
    embeddings, _, present = reconstruct(vectors, gram, padded, alpha, regularization)
    items = tf.shape(vectors)[0]
    clients = tf.shape(padded)[0]
    where = tf.where(padded >= 0)
    met = tf.scatter_nd(
        tf.stack([where[:, 0], tf.cast(tf.gather_nd(padded, where), tf.int64)], axis=1),
        tf.ones(tf.shape(where)[0]),
        tf.cast(tf.stack([clients, items]), tf.int64),
    )
    scores = tf.matmul(embeddings, vectors, transpose_b=True)
    energy = tf.reduce_sum(tf.square(embeddings), axis=1, keepdims=True)
    lengths = tf.reduce_sum(present, axis=1, keepdims=True)
    shrink = 1.0 - rate * regularization * (met + alpha)
    kept, along = tf.ones_like(met), tf.zeros_like(met)
    for _ in tf.range(epochs):
        local = kept * scores + along * energy
        kept, along = shrink * kept, shrink * along - rate * ((local - 1.0) * met + alpha * local)
    loss = tf.reduce_sum(tf.square(scores - 1.0) * met + alpha * tf.square(scores)) + regularization * tf.reduce_sum(
        (lengths + alpha * tf.cast(items, tf.float32)) * energy
    )
    sums = {
        "item_delta": tf.matmul(lengths * along, embeddings, transpose_a=True)
        + tf.reduce_sum(lengths * (kept - 1.0), axis=0)[:, None] * vectors,
        "weight": tf.reshape(tf.reduce_sum(lengths), [1]),
        "item_counts": tf.reduce_sum(met, axis=0),
    }
    return sums, loss
