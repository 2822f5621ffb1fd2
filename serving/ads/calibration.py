"""Calibration: from what a model says of an ad to the probability of a click, and back to nothing else.

A click needs that the ad is looked at, which depends on its position alone, and that it is clicked then, which depends
on the ad alone (the examination hypothesis: Richardson et al. 2007, section 5; Craswell et al. 2008, section 3.2):

    P(click | score s, position p) = e_p f(s)        e_1 = 1

- isotonic: f rises in steps and is the most likely of all such (pool adjacent violators, Barlow et al. 1972); between
  the middles of its steps it is a straight line.
- platt: f(s) = 1 / (1 + exp(-(a s + b))), with the smoothed targets of Platt 1999, section 2.2.

f and e are fitted in turns: e_p is what the clicks at p are to those that f expects there; f is fitted to clicks over
examinations.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from feature_store.arrays import BoolArray, Float64Array, Int32Array
from feature_store.errors import BadInput, CorruptCheckpoint
from feature_store.faults import faults_of
from feature_store.regular_file import read_regular

Method: TypeAlias = Literal["isotonic", "platt"]
Score: TypeAlias = Literal["model", "rate"]

LEAST, MOST = 1e-6, 1 - 1e-6  # of a click rate: nothing is impossible, and a price divides by it
_LARGEST = 64 << 20  # bytes of a file; a knot takes some forty
_TURNS = 10  # of fitting f and e; both have come to rest long before
_STEPS = 100  # of Fisher scoring
_EXAMINED = (0.01, 10.0)  # bounds of e_p: a position where nobody clicked is not one that nobody sees

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Rate = Annotated[float, Field(ge=0, le=1)]


class Calibration(BaseModel):
    """A fitted f and e, as a file has it.

    of: what is calibrated: "model", the score of an item in a reply; "rate", the smoothed click rate of the ad.
    knots, rates: of "isotonic": scores, rising, and the click rate at each, never falling.
    slope, intercept: of "platt"; the slope is not below 0.
    positions: position -> e_p; of one that is not there, 1.
    impressions, clicks: how many it was fitted on.
    prior_clicks, prior_shows: of "rate", what was taken for granted of each ad; serving takes the same for granted.
    until: the time of the last of them, in seconds since 1970; None where nobody said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    method: Method
    of: Score
    knots: tuple[_Finite, ...] = ()
    rates: tuple[_Rate, ...] = ()
    slope: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    intercept: _Finite = 0.0
    positions: Mapping[int, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    impressions: Annotated[int, Field(ge=0)] = 0
    clicks: Annotated[int, Field(ge=0)] = 0
    prior_clicks: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    prior_shows: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 100.0
    until: _Finite | None = None

    @model_validator(mode="after")
    def _rises(self) -> "Calibration":
        if self.method == "isotonic" and not (len(self.knots) == len(self.rates) > 0):
            raise ValueError(f"a rate for each knot; got {len(self.rates)} for {len(self.knots)}")
        if any(after <= before for before, after in zip(self.knots, self.knots[1:], strict=False)):
            raise ValueError("knots rise")
        if any(after < before for before, after in zip(self.rates, self.rates[1:], strict=False)):
            raise ValueError("rates never fall")
        return self

    def click_rates(self, scores: Float64Array) -> Float64Array:
        """The f of each score: the probability of a click at the first position, within 0 and 1, shape (n,)."""
        if self.method == "platt":
            found = _logistic(self.slope * scores + self.intercept)
        else:
            found = np.interp(scores, self.knots, self.rates)
        return np.clip(found, LEAST, MOST)

    def examined(self, positions: Int32Array) -> Float64Array:
        """e_p of each position, shape (n,)."""
        return np.array([self.positions.get(position, 1.0) for position in positions.tolist()])


def fit(
    scores: Float64Array, positions: Int32Array, clicked: BoolArray, method: Method, of: Score, until: float | None
) -> Calibration:
    """The calibration that makes these impressions most likely.

    Args:
        scores: of each impression, finite, shape (n,), n at least 1.
        positions: of each, from 1.
        clicked: whether each was.
        method: of f.
        of: what the scores are.
        until: the time of the last impression, in seconds since 1970.

    Raises:
        BadInput: the shapes differ, there are no impressions, or a score is not finite.
    """
    if not (scores.shape == positions.shape == clicked.shape) or not len(scores) or not np.isfinite(scores).all():
        raise BadInput(
            "a calibration is fitted on finite scores, with a position and a click or none for each; "
            f"got {scores.shape}, {positions.shape}, {clicked.shape}"
        )
    distinct, at = np.unique(positions, return_inverse=True)
    examined = np.ones(len(distinct))
    facts: dict[str, object] = {
        "method": method,
        "of": of,
        "impressions": len(scores),
        "clicks": int(clicked.sum()),
        "until": until,
    }
    calibration = Calibration.model_validate(facts | _fitted(scores, clicked, examined[at], method))
    for _ in range(_TURNS if len(distinct) > 1 else 0):
        expected = np.bincount(at, calibration.click_rates(scores), len(distinct))
        share = (np.bincount(at, clicked, len(distinct)) + 1) / (expected + 1)  # one click as foreseen is taken as read
        examined = np.clip(share / share[0], *_EXAMINED)
        calibration = Calibration.model_validate(facts | _fitted(scores, clicked, examined[at], method))
    there = dict(zip(distinct.tolist(), examined.tolist(), strict=True))
    return calibration.model_copy(update={"positions": there})


def read_calibration(path: Path) -> Calibration:
    """That of a regular file, of 64 MiB at most; raises `BadInput`, naming it."""
    try:
        return Calibration.model_validate_json(read_regular(path, _LARGEST))
    except OSError as error:
        raise BadInput(f"the calibration {path} cannot be read: {error.strerror}") from error
    except CorruptCheckpoint as error:  # no regular file, or too large a one
        raise BadInput(f"the calibration cannot be read: {error}") from error
    except ValidationError as error:
        raise BadInput(f"{path} is no calibration: {faults_of(error)}") from None


def _fitted(scores: Float64Array, clicked: BoolArray, examined: Float64Array, method: Method) -> dict[str, object]:
    if method == "platt":
        slope, intercept = _platt(scores, clicked, examined)
        return {"slope": slope, "intercept": intercept}
    # At either end one click more, and as many looks as it takes on average: no end is made of a stroke of luck, and
    # what nobody has clicked yet is not taken for impossible.
    looks = (examined.sum() + 1) / (clicked.sum() + 1)
    ends = np.array([scores.min(), scores.max()])
    knots, rates = isotonic(
        np.concatenate([scores, ends]),
        np.append(clicked.astype(np.float64), [1, 1]),
        np.append(examined, [looks, looks]),
    )
    return {"knots": tuple(knots.tolist()), "rates": tuple(rates.tolist())}


def isotonic(scores: Float64Array, clicks: Float64Array, examined: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Scores and the rates of the rising f that fits best: clicks over examinations, pooled until they never fall.

    clicks, examined: of each impression.

    Returns:
        the mean score of each block, rising, and its rate, within 0 and 1.
    """
    distinct, at = np.unique(scores, return_inverse=True)
    blocks: list[tuple[float, float, float]] = []  # clicks, examinations, score times examinations
    totals = zip(
        np.bincount(at, clicks).tolist(),
        (weights := np.bincount(at, examined)).tolist(),
        (weights * distinct).tolist(),
        strict=True,
    )
    for block in totals:
        pooled = block
        while blocks and blocks[-1][0] * pooled[1] >= pooled[0] * blocks[-1][1]:
            before = blocks.pop()
            pooled = (before[0] + pooled[0], before[1] + pooled[1], before[2] + pooled[2])
        blocks.append(pooled)
    found = np.array(blocks)
    knots, first = np.unique(found[:, 2] / found[:, 1], return_index=True)  # rounding may make two of them one
    rates = np.maximum.accumulate(np.minimum(found[:, 0] / found[:, 1], 1.0))[first]
    return knots, rates


def _platt(scores: Float64Array, clicked: BoolArray, examined: Float64Array) -> tuple[float, float]:
    """Slope and intercept, by Fisher scoring on scores brought to mean 0 and deviation 1."""
    clicks, none = int(clicked.sum()), int((~clicked).sum())
    targets = np.where(clicked, (clicks + 1) / (clicks + 2), 1 / (none + 2))
    middle, spread = float(scores.mean()), float(scores.std())
    if spread == 0:
        spread = 1.0
    x = np.column_stack([(scores - middle) / spread, np.ones(len(scores))])
    base = float(np.clip(targets.mean() / examined.mean(), LEAST, 0.5))
    weights = np.array([0.0, np.log(base / (1 - base))])
    for _ in range(_STEPS):
        f = np.clip(_logistic(x @ weights), LEAST, MOST)
        p = np.clip(examined * f, LEAST, MOST)
        gradient = x.T @ ((targets - p) * (1 - f) / (1 - p))  # of the log likelihood of p = e f
        information = (x * (p * (1 - f) ** 2 / (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.clip(np.linalg.solve(information, gradient), -1.0, 1.0)
        weights = weights + step
        if float(np.abs(step).max()) < 1e-10:
            break
    slope = weights[0] / spread
    if slope < 0:  # a higher score must not foretell fewer clicks: then it foretells nothing
        return 0.0, float(np.log(base / (1 - base)))
    return float(slope), float(weights[1] - slope * middle)


def _logistic(x: Float64Array) -> Float64Array:
    result: Float64Array = 1.0 / (1.0 + np.exp(-np.clip(x, -500.0, 500.0)))
    return result
