"""The curvature client: reconstruct the user embedding exactly, then give sums for a near-Newton step.

Federated Reconstruction (Singhal et al. 2021, algorithm 1) keeps the personal parameters on the device and
finds them anew from local data in each round. For the implicit-feedback loss of `feature_store.fold_in` this
is one linear system, so the user embedding p is the exact minimum and the gradient of the loss with respect
to the item vectors Q is its partial derivative at p.

One function computes the sums of many clients at once. The simulator calls it with a cohort, an edge cell with
its own users, a device with one: the numbers are the same. On a CPU `training.streaming` does the work. What is
here is the same update as a TensorFlow program, for a GPU, and for XLA and mixed precision anywhere; `reconstruct`
is its solution as differentiable operations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate
from training.device import STREAMED, Placement
from training.padding import PADDING, padded_batches
from training.streaming import SHARE, streamed_update
from training.tf import tf
from training.user_bound import UNBOUNDED, UserBound

CELLS = 1 << 14  # entries of a padded batch: at dim 64 its gathered item vectors fill 4 MiB, about a core's cache
CELLS_OF_A_GPU = 1 << 18  # 64 MiB at dim 64: fewer, larger steps
_WIDTHS = 1.25  # XLA compiles for each shape: lengths are rounded up to powers of this


def curvature_update(
    item_vectors: Float32Array,
    histories: Sequence[Int32Array],
    settings: FoldInSettings,
    cells: int | None = None,
    placement: Placement = STREAMED,
    activity_exponent: float = 0.0,
    bound: UserBound = UNBOUNDED,
) -> ClientUpdate:
    """The summed update of the clients with these histories.

    Args:
        item_vectors: Q as the server sent it, shape (items, dim).
        histories: distinct item rows of each client, none of them empty. `Histories` on disk, and a
            `training.histories.Chosen` of them, are read a piece at a time.
        settings: the weights α and λ of the loss.
        cells: entries of a padded batch, or that a thread of the CPU takes at a time.
        placement: where to compute.
        activity_exponent: x >= 0 of the clients' weights w = |H|^(−x); see `training.activity`.
        bound: on what one client adds; w is lowered for those above it.

    Returns:
        With p the client's user embedding and H its history, summed over the clients:
        item_gradient, (items, dim): w (p·q_i − 1) p on the rows of H. Half the derivative of the loss over H; the
            rest of the derivative follows from the other sums, and the server adds it.
        user_gram, (dim, dim): w p pᵀ.
        item_energy, (items,): w |p|² on the rows of H.
        item_counts, (items,): 1 on the rows of H.
        activity, (1,): w.
        The loss is summed without the weights.
    """
    if placement == STREAMED:
        share = cells or SHARE
        return streamed_update(
            item_vectors, histories, settings, share, activity_exponent=activity_exponent, bound=bound
        )
    cells = cells or (CELLS if "CPU" in placement.name else CELLS_OF_A_GPU)
    with tf.device(placement.name):
        return _by_tensorflow(item_vectors, histories, settings, cells, placement, activity_exponent, bound)


def _by_tensorflow(
    item_vectors: Float32Array,
    histories: Sequence[Int32Array],
    settings: FoldInSettings,
    cells: int,
    placement: Placement,
    activity_exponent: float,
    bound: UserBound,
) -> ClientUpdate:
    add_batch = _add_batch_compiled if placement.xla else _add_batch
    vectors = tf.constant(item_vectors)
    gram = tf.matmul(vectors, vectors, transpose_a=True)
    if placement.mixed_precision:
        vectors = tf.cast(vectors, tf.bfloat16)
    weights = tf.constant([settings.alpha, settings.regularization, activity_exponent, *bound.limits], tf.float32)
    items, dim = item_vectors.shape
    shapes = {
        "item_gradient": (items, dim),
        "user_gram": (dim, dim),
        "item_energy": (items,),
        ITEM_COUNTS: (items,),
        ACTIVITY: (1,),
    }
    sums, loss = {name: tf.zeros(shape) for name, shape in shapes.items()}, 0.0
    for padded in padded_batches(histories, cells):
        batch = _rounded_up(padded, cells) if placement.xla else padded
        sums, local = add_batch(sums, vectors, gram, tf.constant(batch), weights)
        loss += float(local)
    return ClientUpdate({name: array.numpy() for name, array in sums.items()}, loss, len(histories))


def _rounded_up(padded: Int32Array, cells: int) -> Int32Array:
    """The batch with more padding, clients without items included, so that few shapes occur however many batches do."""
    clients, longest = padded.shape
    width = 8
    while width < longest:
        width = int(np.ceil(width * _WIDTHS / 8)) * 8
    batch = np.full((max(clients, cells // width), width), PADDING, np.int32)
    batch[:clients, :longest] = padded
    return batch


def _batch_sums(
    sums: Mapping[str, Any], vectors: Any, gram: Any, padded: Any, weights: Any
) -> tuple[Mapping[str, Any], Any]:
    """The sums with those of a padded batch added, and its loss. Clients without items add nothing."""
    alpha, regularization = weights[0], weights[1]
    embeddings, gathered, present = reconstruct(vectors, gram, padded, alpha, regularization)
    items, dim = tf.shape(vectors)[0], tf.shape(vectors)[1]
    scores = tf.linalg.matvec(gathered, embeddings)
    residuals = (scores - 1.0) * present
    met = tf.reshape(tf.maximum(padded, 0), [-1])

    def sum_by_item(values: Any) -> Any:
        return tf.math.unsorted_segment_sum(values, met, items)

    counts = tf.reduce_sum(present, axis=1)
    loss = (
        tf.reduce_sum(tf.square(residuals))
        + alpha * tf.reduce_sum(tf.matmul(embeddings, embeddings, transpose_a=True) * gram)
        + regularization
        * tf.reduce_sum((counts + alpha * tf.cast(items, tf.float32)) * tf.reduce_sum(tf.square(embeddings), axis=1))
    )
    roots = tf.pow(tf.maximum(counts, 1.0), -weights[2] / 2) * tf.cast(counts > 0, tf.float32)
    roots *= _lowered(roots, embeddings, residuals, counts, weights[3], weights[4])
    residuals *= roots[:, None]
    embeddings *= roots[:, None]
    energy = tf.reduce_sum(tf.square(embeddings), axis=1)
    user_gram = tf.matmul(embeddings, embeddings, transpose_a=True)
    batch = {
        "item_gradient": sum_by_item(tf.reshape(residuals[:, :, None] * embeddings[:, None, :], [-1, dim])),
        "user_gram": user_gram,
        "item_energy": sum_by_item(tf.reshape(present * energy[:, None], [-1])),
        ITEM_COUNTS: sum_by_item(tf.reshape(present, [-1])),
        ACTIVITY: tf.reshape(tf.reduce_sum(tf.square(roots)), [1]),
    }
    return {name: sums[name] + array for name, array in batch.items()}, loss


def _lowered(roots: Any, embeddings: Any, residuals: Any, counts: Any, row: Any, whole: Any) -> Any:
    """What `UserBound.lowered` multiplies the roots by, of a padded batch."""
    weights, energies = tf.square(roots), tf.reduce_sum(tf.square(embeddings), axis=1)
    largest, squares = tf.reduce_max(tf.abs(residuals), axis=1), tf.reduce_sum(tf.square(residuals), axis=1)
    rows = weights * tf.sqrt(energies) * tf.maximum(largest, tf.sqrt(energies))
    wholes = weights * tf.sqrt(squares * energies + tf.square(energies) * (1 + counts) + 1)
    tiny = np.finfo(np.float32).tiny
    kept = tf.minimum(row / tf.maximum(rows, tiny), whole / tf.maximum(wholes, tiny))
    return tf.sqrt(tf.minimum(kept, 1.0))


_add_batch = tf.function(_batch_sums, reduce_retracing=True)
_add_batch_compiled = tf.function(_batch_sums, jit_compile=True)


def reconstruct(vectors: Any, gram: Any, padded: Any, alpha: Any, regularization: Any) -> tuple[Any, Any, Any]:
    """The user embeddings of a padded batch: the solution of `feature_store.fold_in`, as TensorFlow operations.

    Args:
        vectors: Q, shape (items, dim); of a lower precision than float32 it is widened once gathered.
        gram: QᵀQ, float32.
        padded: item rows, shape (clients, longest), `PADDING` where a history has ended.
        alpha: α of the loss.
        regularization: λ of the loss.

    Returns:
        embeddings, (clients, dim); the gathered item vectors, (clients, longest, dim), zero where padded; and
        1 where an item is present, 0 where padded, (clients, longest).
    """
    present = tf.cast(padded >= 0, tf.float32)
    gathered = tf.cast(tf.gather(vectors, tf.maximum(padded, 0)), tf.float32) * present[:, :, None]
    items, dim = tf.shape(vectors)[0], tf.shape(vectors)[1]
    ridge = regularization * (tf.reduce_sum(present, axis=1) + alpha * tf.cast(items, tf.float32))
    systems = tf.matmul(gathered, gathered, transpose_a=True) + alpha * gram + ridge[:, None, None] * tf.eye(dim)
    right = tf.reduce_sum(gathered, axis=1)
    embeddings = tf.linalg.cholesky_solve(tf.linalg.cholesky(systems), right[:, :, None])[:, :, 0]
    return embeddings, gathered, present
