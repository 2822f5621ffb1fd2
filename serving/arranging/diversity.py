"""Diversity: which item comes next, by its value and by how unlike it is to those that stand in the list already.

Maximal marginal relevance (Carbonell and Goldstein 1998): with w the weight of diversity, the next is the maximum of

    (1 - w) · value − w · max_j cos(item, j)        j over the items chosen

Determinantal point process (Kulesza and Taskar 2012, section 2.4; greedy MAP by Chen et al. 2018, algorithm 1): with
L_ij = 0.99 g_i cos(i, j) g_j, L_ii = g_i², g_i = exp(θ value_i / 2), the next is what adds most to log det L of those
chosen. θ = 4 (1 − w)/w falls from 60, where the list is by value, to 0 at w = 1, where it is by unlikeness. The 0.99 is
ours: each item has a little of its own, so that a list may be longer than vectors have numbers, and hold two items of
one vector.

Values are brought to 0..1 over what is ranked. Cosines are those of the items' own vectors; an item that the model does
not know is unlike every other.
"""

from typing import Protocol

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Float64Array

_SCALE, _STEEPEST = 4.0, 60.0  # of θ; e^60 is the largest quality, and float64 carries its square
_SHARED = 0.99  # of two items of one vector


class Unlikeness(Protocol):
    """The order in which items are chosen."""

    def best(self, allowed: BoolArray) -> int:
        """Which of the allowed items comes next.

        allowed: of the ranked items that have a value, which are the first, shape (scored,); one at least is.
        """
        ...

    def take(self, at: int) -> None:
        """That item is in the list now."""
        ...


class ByValue:
    """By value alone: they come sorted, so the first that is allowed."""

    def best(self, allowed: BoolArray) -> int:
        """See `Unlikeness.best`."""
        return int(np.argmax(allowed))

    def take(self, at: int) -> None:
        """See `Unlikeness.take`."""


class MaximalMarginalRelevance:
    """MMR.

    values: of the ranked items, shape (n,), never rising.
    directions: their own vectors at length 1, zero where the model knows none, shape (n, dim).
    weight: of diversity, from 0 to 1.
    """

    def __init__(self, values: Float64Array, directions: Float32Array, weight: float) -> None:
        scored = int(np.count_nonzero(np.isfinite(values)))
        self._values: Float64Array = (1 - weight) * scaled(values)[:scored]
        self._directions, self._scored, self._weight = directions, directions[:scored], weight
        self._worth = self._values
        self._nearest: Float32Array = np.zeros(scored, np.float32)  # the largest cosine to any item chosen
        self._is_first = True

    def best(self, allowed: BoolArray) -> int:
        """See `Unlikeness.best`."""
        return int(np.argmax(np.where(allowed, self._worth, -np.inf)))

    def take(self, at: int) -> None:
        """See `Unlikeness.take`."""
        cosines = self._scored @ self._directions[at]
        self._nearest = cosines if self._is_first else np.maximum(self._nearest, cosines)
        self._worth = self._values - self._weight * self._nearest
        self._is_first = False


class DeterminantalPointProcess:
    """Greedy MAP of a DPP; arguments as `MaximalMarginalRelevance`, but a weight above 0."""

    def __init__(self, values: Float64Array, directions: Float32Array, weight: float) -> None:
        theta = min(_SCALE * (1 - weight) / weight, _STEEPEST)
        self._quality: Float64Array = np.exp(theta * scaled(values) / 2)
        self._directions = directions
        self._gain: Float64Array = self._quality**2  # d_i² of the algorithm
        self._steps: list[Float64Array] = []  # e_i of each step, shape (n,)

    def best(self, allowed: BoolArray) -> int:
        """See `Unlikeness.best`."""
        return int(np.argmax(np.where(allowed, self._gain[: len(allowed)], -np.inf)))

    def take(self, at: int) -> None:
        """See `Unlikeness.take`."""
        row = _SHARED * self._quality * (self._directions @ self._directions[at]) * self._quality[at]
        for step in self._steps:
            row -= step[at] * step
        step = row / np.sqrt(self._gain[at])
        self._steps.append(step)
        self._gain = self._gain - step**2  # of what is chosen nothing is left, and it is not asked about again


def scaled(values: Float64Array) -> Float64Array:
    """Values at 0..1, in their order; those of -inf at 0, and all at 1 where they are equal."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(len(values))
    low, high = float(values[finite].min()), float(values[finite].max())
    result: Float64Array = np.zeros(len(values))
    result[finite] = (values[finite] - low) / (high - low) if high > low else 1.0
    return result


def unlikeness_of(method: str, weight: float, values: Float64Array, directions: Float32Array) -> Unlikeness:
    """That of a method, "mmr" or "dpp"; arguments as `MaximalMarginalRelevance`."""
    if weight == 0:
        return ByValue()
    if method == "dpp":
        return DeterminantalPointProcess(values, directions, weight)
    return MaximalMarginalRelevance(values, directions, weight)
