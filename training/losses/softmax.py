"""The softmax loss: the items met are so many draws from a multinomial over all items.

    −Σ_{i∈H} log π_i,      π_i = exp(s_i) / Σ_j exp(s_j)

The multinomial likelihood of Liang et al. 2018 ("Variational autoencoders for collaborative filtering", section 2.1).
The sum below the line runs over every item, those met and those held out alike; α has no part in it.
"""

from typing import Any

from training.losses.score_loss import ScoreLoss
from training.tf import tf


def _value(scores: Any, met: Any, alpha: Any) -> Any:
    del alpha
    return tf.reduce_sum(met, axis=1) * tf.reduce_logsumexp(scores, axis=1) - tf.reduce_sum(met * scores, axis=1)


def _slope(scores: Any, met: Any, alpha: Any) -> Any:
    del alpha
    return tf.reduce_sum(met, axis=1, keepdims=True) * tf.nn.softmax(scores) - met


def _bend(scores: Any, met: Any, alpha: Any, along: Any) -> Any:
    del alpha
    likely = tf.nn.softmax(scores)
    weighted = likely * along
    centred = weighted - likely * tf.reduce_sum(weighted, axis=1, keepdims=True)
    return tf.reduce_sum(met, axis=1, keepdims=True) * centred


SOFTMAX = ScoreLoss(_value, _slope, _bend)
