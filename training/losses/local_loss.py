"""The losses by name: what a client reconstructs its user embedding by, and what it trains its copy by.

A sampled loss estimates the full one's slope while the copy is trained. The embedding is reconstructed by the full
loss all the same: it is what is served from, and it does not depend on a draw, so that what the draw is expected to
give is the full loss's step.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from training.losses.logistic import LOGISTIC
from training.losses.names import LossName
from training.losses.quadratic import QUADRATIC
from training.losses.sampled_logistic import sampled_logistic_slope
from training.losses.sampled_softmax import sampled_softmax_slope
from training.losses.score_loss import ScoreLoss
from training.losses.softmax import SOFTMAX


class LocalLoss(NamedTuple):
    """One loss, as a client has it.

    full: over all items.
    estimate: (scores, met, alpha, padded, sampled, probability) to the slope, shape (clients, items), from sampled
        negatives; None trains by the slope of `full`. padded has the rows of the history, sampled those of the
        negatives, and probability, shape (clients,), says how likely an unmet item was to be among them.
    """

    full: ScoreLoss
    estimate: Callable[[Any, Any, Any, Any, Any, Any], Any] | None = None


LOSSES: Mapping[LossName, LocalLoss] = {
    "quadratic": LocalLoss(QUADRATIC),
    "softmax": LocalLoss(SOFTMAX),
    "sampled_softmax": LocalLoss(SOFTMAX, sampled_softmax_slope),
    "logistic": LocalLoss(LOGISTIC),
    "sampled_logistic": LocalLoss(LOGISTIC, sampled_logistic_slope),
}
