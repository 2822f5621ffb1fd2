"""The logistic loss: of each item, was it met or not.

    −Σ_{i∈H} log σ(s_i) − α Σ_{i∉H} log σ(−s_i),      σ(s) = 1 / (1 + exp(−s))

Johnson 2014 ("Logistic matrix factorization for implicit feedback data"), with the weight on the unmet side. α = 1 is
binary cross-entropy over all items.
"""

from typing import Any

from training.losses.score_loss import ScoreLoss
from training.tf import tf


def _weights(met: Any, alpha: Any) -> Any:
    return met + alpha * (1.0 - met)


def _value(scores: Any, met: Any, alpha: Any) -> Any:
    return tf.reduce_sum(_weights(met, alpha) * tf.nn.softplus(scores) - met * scores, axis=1)


def _slope(scores: Any, met: Any, alpha: Any) -> Any:
    return _weights(met, alpha) * tf.sigmoid(scores) - met


def _bend(scores: Any, met: Any, alpha: Any, along: Any) -> Any:
    likely = tf.sigmoid(scores)
    return _weights(met, alpha) * likely * (1.0 - likely) * along


LOGISTIC = ScoreLoss(_value, _slope, _bend)
