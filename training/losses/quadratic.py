"""The implicit quadratic loss: items met are to score 1, and all items 0 with a small weight.

    Σ_{i∈H} (1 − s_i)² + α Σ_i s_i²

Hu, Koren and Volinsky 2008, section 4, in the form of Rendle et al. 2022. Its minimum over the user embedding is one
linear system, `feature_store.fold_in`.
"""

from typing import Any

from training.losses.score_loss import ScoreLoss
from training.tf import tf


def _value(scores: Any, met: Any, alpha: Any) -> Any:
    return tf.reduce_sum(met * tf.square(1.0 - scores) + alpha * tf.square(scores), axis=1)


def _slope(scores: Any, met: Any, alpha: Any) -> Any:
    return 2.0 * (met * (scores - 1.0) + alpha * scores)


def _bend(scores: Any, met: Any, alpha: Any, along: Any) -> Any:
    del scores  # a quadratic bends alike everywhere
    return 2.0 * (met + alpha) * along


QUADRATIC = ScoreLoss(_value, _slope, _bend)
