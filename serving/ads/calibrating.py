"""Calibrating from a log: fitted on its first part, judged on the rest, which lies later and chooses nothing."""

from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float64Array
from feature_store.errors import BadInput
from serving.ads.calibration import Calibration, Method, Score, fit
from serving.ads.impressions import Impressions, rates_so_far
from serving.ads.reliability import Reliability, reliability


class Calibrated(NamedTuple):
    """A calibration, and how it was borne out by impressions later than those it was fitted on.

    before: the score taken as the probability: as it is where it lies from 0 to 1, else its logistic.
    base: the click rate of the first part, foreseen of each: what no calibration is worse than for long.
    """

    calibration: Calibration
    before: Reliability
    after: Reliability
    base: Reliability
    fitted: int
    judged: int


def calibrated(
    impressions: Impressions, method: Method, share: float, prior_clicks: float, prior_shows: float
) -> Calibrated:
    """Fit on the first `share` of the impressions and judge on the others.

    Where they have no scores, the smoothed click rate that each ad had until then is calibrated.

    Raises:
        BadInput: either part would be empty, or the first one has no click.
    """
    cut = int(share * len(impressions))
    if not 0 < cut < len(impressions):
        raise BadInput(f"a share of {share:g} of {len(impressions):,} impressions leaves a part without any")
    early, late = impressions.part(0, cut), impressions.part(cut, len(impressions))
    if not early.clicked.any():
        raise BadInput(f"the first {cut:,} impressions have no click to calibrate by")
    of: Score = "rate" if impressions.scores is None else "model"
    scores = rates_so_far(impressions, prior_clicks, prior_shows) if impressions.scores is None else impressions.scores
    calibration = fit(scores[:cut], early.positions, early.clicked, method, of, float(early.times[-1]))
    calibration = calibration.model_copy(update={"prior_clicks": prior_clicks, "prior_shows": prior_shows})
    after = calibration.click_rates(scores[cut:]) * calibration.examined(late.positions)
    base = np.full(len(late), (early.clicked.sum() + 1) / (len(early) + 2))
    return Calibrated(
        calibration,
        reliability(_as_probability(scores)[cut:], late.clicked),
        reliability(np.minimum(after, 1.0), late.clicked),
        reliability(base, late.clicked),
        cut,
        len(late),
    )


def _as_probability(scores: Float64Array) -> Float64Array:
    if scores.min() >= 0 and scores.max() <= 1:
        return scores
    result: Float64Array = 1.0 / (1.0 + np.exp(-np.clip(scores, -500.0, 500.0)))
    return result
