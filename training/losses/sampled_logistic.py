"""The sampled logistic loss: every item met, and a sample of the others, each standing for those not drawn.

An unmet item that was drawn with probability π counts 1/π times (Horvitz and Thompson 1952), so the slope is expected
to be the full one's, whatever the size of the sample. He et al. 2017 (NCF) train so, without the weight.
"""

from typing import Any

from training.losses.logistic import LOGISTIC
from training.losses.rows import on_rows
from training.tf import tf


def sampled_logistic_slope(scores: Any, met: Any, alpha: Any, padded: Any, sampled: Any, probability: Any) -> Any:
    """An unbiased estimate of the slope of the logistic loss; see `training.losses.local_loss.LocalLoss`."""
    del padded
    drawn = on_rows(sampled, tf.shape(met)[1])
    return LOGISTIC.slope(scores, met, alpha) * (met + drawn / probability[:, None])
