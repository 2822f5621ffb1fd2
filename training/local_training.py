"""The FedAvg client: reconstruct the user embedding, then train a copy of the item vectors by gradient descent.

Federated averaging (McMahan et al. 2017, algorithm 1) lets each client run E epochs on its own copy of the
global parameters. The client here first reconstructs its user embedding p and keeps it fixed while it trains
the copy (Singhal et al. 2021, algorithm 1).

With p fixed, a loss of the scores moves an item vector along p, its regularisation towards zero, and FedProx (Li et
al. 2020) back to where it was. So after any number of steps the copy is q_i ← a_i q_i + b_i p: two numbers an item
carry a client's whole copy, and a batch of clients trains as two (clients, items) matrices, to the same numbers as
with a full table a client, at 1/dim of the memory.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings
from training.client_update import ITEM_COUNTS, WEIGHT, ClientUpdate
from training.losses.embedding import embed
from training.losses.local_loss import LOSSES
from training.losses.names import LossName
from training.losses.negatives import sample_negatives
from training.padding import padded_batches
from training.reconstruction import CELLS
from training.tf import tf

CLIENTS_BY_ITEMS = 1 << 21  # entries of a (clients, items) matrix: 8 MiB


def local_training_update(
    item_vectors: Float32Array,
    histories: Sequence[Int32Array],
    settings: FoldInSettings,
    epochs: int,
    learning_rate: float,
    *,
    loss: LossName = "quadratic",
    negatives: int = 256,
    proximal: float = 0.0,
    entries: int = CLIENTS_BY_ITEMS,
) -> ClientUpdate:
    """The summed, weighted update of the clients with these histories.

    A client's loss is the loss of its scores + λ(|H| + α·items)|p|² + λ Σ_i (1[i∈H] + α)|q_i|².

    Args:
        item_vectors: Q as the server sent it, shape (items, dim).
        histories: distinct item rows of each client, none of them empty.
        settings: the weights α and λ of the loss.
        epochs: E, full-batch gradient steps on the local copy.
        learning_rate: α_i of those steps, for the loss halved.
        loss: of the scores.
        negatives: sampled items a client, where the loss samples.
        proximal: μ; the halved loss that a step descends has μ/2 |θ − θ_global|² added (Li et al. 2020, section 3.2).
        entries: of a (clients, items) matrix, the bound on memory.

    Returns:
        item_delta, (items, dim): n·(local minus global), summed over the clients, with n the length of the history.
        weight, (1,): n, summed.
        item_counts, (items,): 1 on the rows of the history, summed.
    """
    items, dim = item_vectors.shape
    vectors = tf.constant(item_vectors)
    alpha, regularization, rate, pull = tf.constant(
        [settings.alpha, settings.regularization, learning_rate, learning_rate * proximal], tf.float32
    )
    total = ClientUpdate(
        sums={
            "item_delta": np.zeros((items, dim), np.float32),
            WEIGHT: np.zeros(1, np.float32),
            ITEM_COUNTS: np.zeros(items, np.float32),
        },
        loss=0.0,
        clients=0,
    )
    sampled = negatives if LOSSES[loss].estimate else 0
    for padded in _batches(histories, items, sampled, entries):
        drawn = sample_negatives(item_vectors, padded, sampled)
        sums, value = _batch_sums(
            vectors,
            tf.constant(padded),
            tf.constant(drawn.rows),
            tf.constant(drawn.probability),
            alpha,
            regularization,
            rate,
            pull,
            tf.constant(epochs),
            loss=loss,
        )
        total += ClientUpdate({name: sums[name].numpy() for name in total.sums}, float(value), len(padded))
    return total


def _batches(histories: Sequence[Int32Array], items: int, sampled: int, entries: int) -> Iterator[Int32Array]:
    """Padded batches, with no more than `entries` scores and pairs of a positive and a candidate in one of them."""
    for batch in padded_batches(histories, CELLS):
        longest = batch.shape[1]
        most = max(1, entries // max(items, longest * (longest + sampled) if sampled else 0))
        yield from (batch[start : start + most] for start in range(0, len(batch), most))


@tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _batch_sums(
    vectors: Any,
    padded: Any,
    sampled: Any,
    probability: Any,
    alpha: Any,
    regularization: Any,
    rate: Any,
    pull: Any,
    epochs: Any,
    *,
    loss: LossName,
) -> tuple[dict[str, Any], Any]:
    full, estimate = LOSSES[loss]
    embeddings, met = embed(loss, vectors, padded, alpha, regularization)
    scores = tf.matmul(embeddings, vectors, transpose_b=True)
    energy = tf.reduce_sum(tf.square(embeddings), axis=1, keepdims=True)
    lengths = tf.reduce_sum(met, axis=1, keepdims=True)
    shrink = 1.0 - rate * regularization * (met + alpha)
    kept, along = tf.ones_like(met), tf.zeros_like(met)
    for _ in tf.range(epochs):
        local = kept * scores + along * energy
        slope = estimate(local, met, alpha, padded, sampled, probability) if estimate else full.slope(local, met, alpha)
        # The proximal term is taken where the step ends, not where it starts: any μ is stable, and μ → ∞ moves nothing.
        kept = (shrink * kept + pull) / (1.0 + pull)
        along = (shrink * along - rate * slope / 2.0) / (1.0 + pull)
    items = tf.cast(tf.shape(vectors)[0], tf.float32)
    value = tf.reduce_sum(full.value(scores, met, alpha)) + regularization * tf.reduce_sum(
        (lengths + alpha * items) * energy
    )
    sums = {
        "item_delta": tf.matmul(lengths * along, embeddings, transpose_a=True)
        + tf.reduce_sum(lengths * (kept - 1.0), axis=0)[:, None] * vectors,
        WEIGHT: tf.reshape(tf.reduce_sum(lengths), [1]),
        ITEM_COUNTS: tf.reduce_sum(met, axis=0),
    }
    return sums, value
