"""The curvature client: reconstruct the user embedding exactly, then give sums for a near-Newton step.

Federated Reconstruction (Singhal et al. 2021, algorithm 1) keeps the personal parameters on the device and
finds them anew from local data in each round. For the implicit-feedback loss of `feature_store.fold_in` this
is one linear system, so the user embedding p is the exact minimum and the gradient of the loss with respect
to the item vectors Q is its partial derivative at p.

One TensorFlow function computes the sums of a whole batch of clients. The simulator calls it with a cohort,
an edge cell with its own users, a device with one: the numbers are the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings
from training.client_update import ClientUpdate
from training.padding import padded_batches
from training.tf import tf

CELLS = 1 << 14  # entries of a padded batch: at dim 64 its gathered item vectors fill 4 MiB, about a core's cache


def curvature_update(
    item_vectors: Float32Array, histories: Sequence[Int32Array], settings: FoldInSettings, cells: int = CELLS
) -> ClientUpdate:
    """The summed update of the clients with these histories.

    Args:
        item_vectors: Q as the server sent it, shape (items, dim).
        histories: distinct item rows of each client, none of them empty.
        settings: the weights α and λ of the loss.
        cells: entries of a padded batch, the bound on memory.

    Returns:
        With p the client's user embedding and H its history, summed over the clients:
        item_gradient, (items, dim): (p·q_i − 1) p on the rows of H. Half the derivative of the loss over H; the
            rest of the derivative follows from the other sums, and the server adds it.
        user_gram, (dim, dim): p pᵀ.
        item_energy, (items,): |p|² on the rows of H.
        item_counts, (items,): 1 on the rows of H.
    """
    batches = padded_batches(histories, cells)
    vectors = tf.constant(item_vectors)
    gram = tf.matmul(vectors, vectors, transpose_a=True)
    alpha, regularization = tf.constant([settings.alpha, settings.regularization], tf.float32)
    items, dim = item_vectors.shape
    total = ClientUpdate(
        sums={
            "item_gradient": np.zeros((items, dim), np.float32),
            "user_gram": np.zeros((dim, dim), np.float32),
            "item_energy": np.zeros(items, np.float32),
            "item_counts": np.zeros(items, np.float32),
        },
        loss=0.0,
        clients=0,
    )
    for padded in batches:
        sums, loss = _batch_sums(vectors, gram, tf.constant(padded), alpha, regularization)
        total += ClientUpdate({name: sums[name].numpy() for name in total.sums}, float(loss), len(padded))
    return total


@tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _batch_sums(vectors: Any, gram: Any, padded: Any, alpha: Any, regularization: Any) -> tuple[Mapping[str, Any], Any]:
    embeddings, gathered, present = reconstruct(vectors, gram, padded, alpha, regularization)
    items, dim = tf.shape(vectors)[0], tf.shape(vectors)[1]
    scores = tf.linalg.matvec(gathered, embeddings)
    residuals = (scores - 1.0) * present
    energy = tf.reduce_sum(tf.square(embeddings), axis=1)
    met = tf.reshape(tf.maximum(padded, 0), [-1])

    def sum_by_item(values: Any) -> Any:
        return tf.math.unsorted_segment_sum(values, met, items)

    counts = tf.reduce_sum(present, axis=1)
    user_gram = tf.matmul(embeddings, embeddings, transpose_a=True)
    loss = (
        tf.reduce_sum(tf.square(residuals))
        + alpha * tf.reduce_sum(user_gram * gram)
        + regularization * tf.reduce_sum((counts + alpha * tf.cast(items, tf.float32)) * energy)
    )
    sums = {
        "item_gradient": sum_by_item(tf.reshape(residuals[:, :, None] * embeddings[:, None, :], [-1, dim])),
        "user_gram": user_gram,
        "item_energy": sum_by_item(tf.reshape(present * energy[:, None], [-1])),
        "item_counts": sum_by_item(tf.reshape(present, [-1])),
    }
    return sums, loss


def reconstruct(vectors: Any, gram: Any, padded: Any, alpha: Any, regularization: Any) -> tuple[Any, Any, Any]:
    """The user embeddings of a padded batch: the solution of `feature_store.fold_in`, as TensorFlow operations.

    Returns:
        embeddings, (clients, dim); the gathered item vectors, (clients, longest, dim), zero where padded; and
        1 where an item is present, 0 where padded, (clients, longest).
    """
    present = tf.cast(padded >= 0, tf.float32)
    gathered = tf.gather(vectors, tf.maximum(padded, 0)) * present[:, :, None]
    items, dim = tf.shape(vectors)[0], tf.shape(vectors)[1]
    ridge = regularization * (tf.reduce_sum(present, axis=1) + alpha * tf.cast(items, tf.float32))
    systems = tf.matmul(gathered, gathered, transpose_a=True) + alpha * gram + ridge[:, None, None] * tf.eye(dim)
    right = tf.reduce_sum(gathered, axis=1)
    embeddings = tf.linalg.cholesky_solve(tf.linalg.cholesky(systems), right[:, :, None])[:, :, 0]
    return embeddings, gathered, present
