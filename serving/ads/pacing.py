"""Pacing: a campaign that is ahead of its day takes part in fewer auctions, so that its budget lasts until midnight.

With B the daily budget, t the share of the day that has passed and S what is spent since midnight, it is ahead by
S - tB. It takes part in an auction with probability

    1 - (S - tB) / (pace B)        within 0 and 1

This is a proportional controller: where demand would spend r times the budget in a day, it settles where the
probability is 1/r, ahead by (1 - 1/r) pace B, and is never ahead by more than pace B and the clicks under way.
"""

import numpy as np

from feature_store.arrays import BoolArray, Float64Array, Int64Array

_DAY = 86400.0
_STREAM = 0x616473  # so that no other part of a reply draws the same numbers from its seed


def share_of_day(now: float) -> float:
    """How much of the day has passed in UTC, from 0 to 1; the days of the counters begin there too.

    >>> share_of_day(86400 * 3 + 43200)
    0.5
    """
    return (now % _DAY) / _DAY


def participation(daily: Int64Array, today: Int64Array, now: float, pace: float) -> Float64Array:
    """With which probability each takes part, shape (n,).

    daily: budgets in micros, above 0; -1 where there is none, which always takes part.
    today: spent since midnight, in micros.
    """
    budget = np.where(daily < 0, 1, daily).astype(np.float64)
    ahead = today - share_of_day(now) * budget
    return np.where(daily < 0, 1.0, np.clip(1.0 - ahead / (pace * budget), 0.0, 1.0))


def takes_part(probabilities: Float64Array, seed: int) -> BoolArray:
    """Which of them do in this reply, shape (n,)."""
    drawn: BoolArray = np.random.default_rng([seed, _STREAM]).random(len(probabilities)) < probabilities
    return drawn
