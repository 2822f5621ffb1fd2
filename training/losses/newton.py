"""The user embedding under a loss without a closed form: damped Newton steps.

What is minimised over p, all item vectors Q standing still, is

    value(Q p) + ridge |p|²,       ridge = λ (|H| + α·items)

Federated Reconstruction (Singhal et al. 2021, algorithm 1) takes gradient steps to it. The objective is convex and p
small, so Newton steps need far fewer: each is found by conjugate gradients (Nocedal and Wright 2006, algorithm 7.1),
which ask of the Hessian no more than its product with a vector, two products with Q. Scores are linear in p, so that a
line search costs no product at all.
"""

from typing import Any

from training.losses.score_loss import ScoreLoss
from training.tf import tf

STEPS = 6
INNER_STEPS = 8
SHORTER = (0.5, 0.25, 0.1, 0.02, 0.0)  # of a full Newton step, where that overshoots

_ROUNDING = 1e-6  # of the objective: what float32 cannot tell apart is no reason for a shorter step
_TINY = 1e-30


def newton_embeddings(loss: ScoreLoss, vectors: Any, met: Any, alpha: Any, ridge: Any, start: Any) -> Any:
    """The user embeddings of a batch of clients, shape (clients, dim).

    Args:
        loss: of the scores.
        vectors: Q, shape (items, dim).
        met: 1 on the items of each history and 0 elsewhere, shape (clients, items).
        alpha: weight of an unmet item, where the loss has one.
        ridge: weight of |p|² of each client, shape (clients, 1).
        start: where to start from, such as the quadratic fold-in, shape (clients, dim). Each client ends no higher.
    """
    embeddings, scores = start, tf.matmul(start, vectors, transpose_b=True)
    for _ in tf.range(STEPS):
        gradient = tf.matmul(loss.slope(scores, met, alpha), vectors) + 2.0 * ridge * embeddings
        step, score_step = _newton_step(loss, vectors, met, alpha, ridge, scores, gradient)
        chosen = tf.ones_like(ridge)
        best = _objective(loss, met, alpha, ridge, scores + score_step, embeddings + step)
        for length in SHORTER:
            there = _objective(loss, met, alpha, ridge, scores + length * score_step, embeddings + length * step)
            is_lower = there < best - _ROUNDING * tf.abs(best)
            chosen, best = tf.where(is_lower, length, chosen), tf.where(is_lower, there, best)
        embeddings += chosen * step
        scores += chosen * score_step
    return embeddings


def _objective(loss: ScoreLoss, met: Any, alpha: Any, ridge: Any, scores: Any, embeddings: Any) -> Any:
    return loss.value(scores, met, alpha)[:, None] + ridge * _dot(embeddings, embeddings)


def _newton_step(
    loss: ScoreLoss, vectors: Any, met: Any, alpha: Any, ridge: Any, scores: Any, gradient: Any
) -> tuple[Any, Any]:
    """Nearly the solution of Hessian · step = −gradient, (clients, dim), and what it adds to the scores."""
    step, score_step = tf.zeros_like(gradient), tf.zeros_like(scores)
    residual = -gradient
    direction, energy = residual, _dot(residual, residual)
    for _ in tf.range(INNER_STEPS):
        score_direction = tf.matmul(direction, vectors, transpose_b=True)
        bent = tf.matmul(loss.bend(scores, met, alpha, score_direction), vectors) + 2.0 * ridge * direction
        length = energy / tf.maximum(_dot(direction, bent), _TINY)
        step += length * direction
        score_step += length * score_direction
        residual -= length * bent
        new_energy = _dot(residual, residual)
        direction = residual + new_energy / tf.maximum(energy, _TINY) * direction
        energy = new_energy
    return step, score_step


def _dot(left: Any, right: Any) -> Any:
    return tf.reduce_sum(left * right, axis=1, keepdims=True)
