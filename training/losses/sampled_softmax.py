"""The sampled softmax: the softmax loss with part of its denominator, through `tfrs.tasks.Retrieval`.

For each item met, the denominator holds all items met, which are always there (probability 1), and a sample of the
others, each of them corrected by the logarithm of the probability that it was drawn (Bengio and Senécal 2008; Yi et
al. 2019, section 3: "logQ"). What is expected of a sampled denominator is then the full one.

The user embedding p stands still while a client trains its copy, so the loss sees a candidate through p·q alone. The
task is given just that: the number 1 as the query, once for each item met, and the scores as candidates of one
dimension. The scores that it computes of them are p·q.
"""

from typing import Any

from training.losses.rows import at_rows
from training.tf import tf, tfrs

_RETRIEVAL = tfrs.tasks.Retrieval(remove_accidental_hits=True)


def sampled_softmax(positives: Any, negatives: Any, padded: Any, sampled: Any, probability: Any) -> Any:
    """The loss of each client of a batch, shape (clients,).

    Args:
        positives: scores of the items met, shape (clients, longest).
        negatives: scores of the sampled items, shape (clients, size).
        padded: rows of the items met, shape (clients, longest), `PADDING` where a history has ended.
        sampled: rows of the sampled items, shape (clients, size), `PADDING` where there were no more.
        probability: that an unmet item was drawn, shape (clients,).
    """

    def of_one(client: tuple[Any, ...]) -> Any:
        met_scores, other_scores, met_rows, other_rows, drawn = client
        rows = tf.concat([met_rows, other_rows], axis=0)
        is_one = tf.broadcast_to(rows >= 0, [tf.shape(met_rows)[0], tf.shape(rows)[0]])
        return _RETRIEVAL(
            query_embeddings=tf.ones_like(met_scores)[:, None],
            candidate_embeddings=tf.concat([met_scores, other_scores], axis=0)[:, None],
            sample_weight=tf.cast(met_rows >= 0, tf.float32),
            candidate_sampling_probability=tf.concat(
                [tf.ones_like(met_scores), drawn * tf.ones_like(other_scores)], axis=0
            ),
            candidate_ids=rows,
            score_mask=is_one,
            compute_metrics=False,
        )

    return tf.vectorized_map(of_one, (positives, negatives, padded, sampled, probability))


def sampled_softmax_slope(scores: Any, met: Any, alpha: Any, padded: Any, sampled: Any, probability: Any) -> Any:
    """The slope of the sampled softmax by automatic differentiation; see `training.losses.local_loss.LocalLoss`."""
    del met, alpha
    with tf.GradientTape() as tape:
        tape.watch(scores)
        losses = sampled_softmax(at_rows(scores, padded), at_rows(scores, sampled), padded, sampled, probability)
    return tf.convert_to_tensor(tape.gradient(losses, scores))
