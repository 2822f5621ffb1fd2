"""Off-policy estimates: what a policy would have earned, from the log of another that noted its own chances.

With rewards r, chances p that the logging policy had for what it showed and q that ours has, and w = q/p:

    IPS   = mean(w r)               unbiased where ours shows nothing that the other never shows
    SNIPS = sum(w r) / sum(w)       a little biased, and steadier (Swaminathan and Joachims 2015, section 4)

Intervals are normal approximations of 95 %; that of SNIPS is the delta method's. Where the effective sample, (sum
w)^2 / sum w^2, is some dozens, or few rewards count, they are too narrow: both are told.
"""

from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Float64Array
from feature_store.errors import BadInput

_95 = 1.959964


class Estimate(NamedTuple):
    """A value, and the interval that holds the true one 95 times in 100, about."""

    value: float
    low: float
    high: float


class OffPolicy(NamedTuple):
    """What a policy would have earned for each impression.

    weight: the mean of w, which is 1 where the chances noted are true; far from it, neither estimate means much.
    sample: the effective one, in impressions.
    rewards: how many rewards weigh anything.
    """

    ips: Estimate
    snips: Estimate
    weight: float
    sample: float
    rewards: int

    def figures(self) -> dict[str, object]:
        """As JSON has them."""
        return {
            "ips": self.ips._asdict(),
            "snips": self.snips._asdict(),
            "mean_weight": self.weight,
            "effective_sample": self.sample,
            "rewards_that_count": self.rewards,
        }


def off_policy(rewards: BoolArray, logged: Float64Array, ours: Float64Array) -> OffPolicy:
    """The estimates from a log.

    Args:
        rewards: whether each impression was clicked, shape (n,), n at least 2.
        logged: the chance that it had, above 0 and at most 1.
        ours: the chance that it would have had.

    Raises:
        BadInput: the shapes differ, there are too few, or a chance is none.
    """
    if not (rewards.shape == logged.shape == ours.shape) or len(rewards) < 2:
        raise BadInput(
            f"two impressions at least, with both chances; got {rewards.shape}, {logged.shape}, {ours.shape}"
        )
    if not ((logged > 0) & (logged <= 1) & (ours >= 0) & (ours <= 1)).all():
        raise BadInput("chances lie within 0 and 1, and what was shown had one above 0")
    weights = ours / logged
    total = float(weights.sum())
    snips = float((weights * rewards).sum() / total) if total else float("nan")
    mean = total / len(weights)
    return OffPolicy(
        _around(float((weights * rewards).mean()), weights * rewards),
        _around(snips, weights * (rewards - snips) / mean) if total else Estimate(snips, snips, snips),
        mean,
        total**2 / float((weights**2).sum()) if total else 0.0,
        int((rewards & (weights > 0)).sum()),
    )


def on_policy(rewards: BoolArray) -> Estimate:
    """What the logging policy itself earned."""
    return _around(float(rewards.mean()), rewards.astype(np.float64))


def _around(value: float, influence: Float64Array) -> Estimate:
    """influence: of each impression on the estimate; its deviation over √n is the estimate's."""
    half = _95 * float(influence.std(ddof=1)) / len(influence) ** 0.5
    return Estimate(value, value - half, value + half)
