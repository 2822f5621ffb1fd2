"""Reliability: whether what was foreseen came true, by how much it was foreseen.

The impressions are cut into bins of as many each by what was foreseen. The expected calibration error is the mean, over
the impressions, of the distance between what was foreseen and what came true in their bin (Naeini et al. 2015, section
2, with bins of equal counts, as click rates lie close together).
"""

from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Float64Array
from feature_store.errors import BadInput
from serving.ads.calibration import LEAST, MOST


class Bin(NamedTuple):
    """Impressions of about one foreseen rate: the mean of it, the click rate, and how many they are."""

    foreseen: float
    found: float
    impressions: int


class Reliability(NamedTuple):
    """How foreseen click rates were borne out.

    error: the expected calibration error, from 0 to 1.
    log_loss: the mean of -log of what was foreseen of what came true; less is better.
    """

    error: float
    log_loss: float
    bins: tuple[Bin, ...]

    def figures(self) -> dict[str, object]:
        """As JSON has them."""
        return {
            "calibration_error": self.error,
            "log_loss": self.log_loss,
            "bins": [dict(one._asdict()) for one in self.bins],
        }


def reliability(foreseen: Float64Array, clicked: BoolArray, bins: int = 10) -> Reliability:
    """That of these impressions.

    Args:
        foreseen: probabilities of a click, shape (n,), n at least 1.
        clicked: whether there was one, shape (n,).
        bins: how many at most; equal probabilities are never in two.

    Raises:
        BadInput: there are none, or not as many of both.
    """
    if foreseen.shape != clicked.shape or not len(foreseen):
        raise BadInput(f"each impression has a foreseen rate; got {foreseen.shape} for {clicked.shape}")
    edges = np.quantile(foreseen, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
    at = np.searchsorted(np.unique(edges), foreseen, side="left")
    counts = np.bincount(at)
    there = counts > 0
    means = np.bincount(at, foreseen)[there] / counts[there]
    rates = np.bincount(at, clicked)[there] / counts[there]
    sure = np.clip(foreseen, LEAST, MOST)
    return Reliability(
        error=float((counts[there] * np.abs(means - rates)).sum() / len(foreseen)),
        log_loss=float(-np.where(clicked, np.log(sure), np.log1p(-sure)).mean()),
        bins=tuple(Bin(*one) for one in zip(means.tolist(), rates.tolist(), counts[there].tolist(), strict=True)),
    )
