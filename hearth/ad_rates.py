"""Click rates of ads as serving has them, made from a log: for the benchmark, which knows no serving."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.ads import PRIOR_CLICKS, PRIOR_SHOWS, SHARE, BanditLog
from feature_store.arrays import Float64Array
from serving.ads.auction import smoothed
from serving.ads.calibrating import calibrated
from serving.ads.calibration import Method, fit
from serving.ads.impressions import Impressions, rates_so_far

_METHODS: tuple[Method, ...] = ("isotonic", "platt")


def calibration_figures(log: BanditLog, report: Callable[[str], None]) -> dict[str, Any]:
    """How the click rates of ads are borne out by what lies behind the cut: before calibration, by either method."""
    figures: dict[str, Any] = {}
    for method in _METHODS:
        report(f"calibrating, {method}")
        found = calibrated(_impressions(log), method, SHARE, PRIOR_CLICKS, PRIOR_SHOWS)
        figures |= {
            "each ad's own": found.before.figures(),
            "one rate for all": found.base.figures(),
            method: found.after.figures(),
        }
    return figures


def click_rates_at_the_cut(log: BanditLog) -> Float64Array:
    """Of each ad its calibrated click rate, from what lies before the cut alone, shape (ads,)."""
    impressions, cut = _impressions(log), log.cut
    scores = rates_so_far(impressions, PRIOR_CLICKS, PRIOR_SHOWS)[:cut]
    calibration = fit(scores, log.positions[:cut], log.clicked[:cut], "platt", "rate", None)
    shows = np.bincount(log.ad[:cut], minlength=len(log.ads)).astype(np.float64)
    clicks = np.bincount(log.ad[:cut], log.clicked[:cut], len(log.ads)).astype(np.float64)
    return calibration.click_rates(smoothed(clicks, shows, PRIOR_CLICKS, PRIOR_SHOWS))


def _impressions(log: BanditLog) -> Impressions:
    return Impressions(log.ads, log.ad, log.times, log.positions, log.clicked, None)
