"""PrivUnitG: a direction that is told under ε-local differential privacy, by one Gaussian cap.

Asi, Feldman and Talwar 2022, "Optimal algorithms for mean estimation under local differential privacy", section 4
(after PrivUnit of Bhowmick et al. 2018). For a unit vector u of r numbers, with q the probability that a standard
normal number is at least γ, the output is

    z = t u + g − ⟨g, u⟩ u        g standard normal of r numbers; t standard normal, given t ≥ γ with probability p
                                  and given t < γ with probability 1 − p

Its density at z is the normal density times p/q where ⟨z, u⟩ ≥ γ, and times (1 − p)/(1 − q) elsewhere. So whatever two
directions a person might have, the densities of any z differ at most by the factor

    (p/q) / ((1 − p)/(1 − q)) = e^ε        for p = e^ε q / (e^ε q + 1 − q)

which is pure ε-LDP. Of z, E[z] = m u with m = φ(γ) (p/q − (1 − p)/(1 − q)) is what tells u. Its derivative has the sign
of m − γ, so that the best γ for ε is where m = γ, whatever r is.

Floating point: rounding leaves traces of u in the last bits of z (Mironov 2012 shows it for Laplace noise). What leaves
this module is therefore rounded to a fixed coarse grid, which the ideal z may be as well: post-processing. The bound
then holds but for events of a probability of about r 2^−40, that z as computed and z as meant are on two sides of a
border of the grid; `feature_store.subset_selection` needs no such remark. Random bits come from the operating system.
"""

import math
import secrets
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float64Array

_NORMAL = NormalDist()
_HALVINGS = 60  # of an interval below 12: to the last bit of a float
_GRID = 2.0**-10  # of z, whose noise has a spread of 1 a number
_BITS = 52  # of a uniform number, so that (n + 1/2) / 2^52 is exact and never 0 or 1


class Cap(NamedTuple):
    """The settings of the mechanism for one ε.

    threshold: γ, what a number along u has to reach.
    share: q, how likely a normal number does.
    inside: p, how likely the output does.
    signal: m, the mean of the output along u.
    """

    threshold: float
    share: float
    inside: float
    signal: float


def cap_at(threshold: float, epsilon: float) -> Cap:
    """The cap of that threshold; p is the largest that e^ε allows.

    >>> cap = cap_at(1.0, epsilon=2.0)
    >>> round(math.log(cap.inside / cap.share * (1 - cap.share) / (1 - cap.inside)), 9)
    2.0
    """
    share = math.erfc(threshold / math.sqrt(2)) / 2
    outside = (1 - share) / (1 - share + math.exp(epsilon) * share)
    density = math.exp(-(threshold**2) / 2) / math.sqrt(2 * math.pi)
    signal = density * ((1 - outside) / share - outside / (1 - share))
    return Cap(threshold, share, 1 - outside, signal)


def best_cap(epsilon: float) -> Cap:
    """The cap that tells most of u for that ε, above 0 and at most 64: where m = γ, found by halving.

    >>> best_cap(8.0).threshold.__round__(2), best_cap(8.0).signal.__round__(2)
    (2.74, 2.74)
    """
    low, high = 0.0, math.sqrt(2 * epsilon) + 1.0  # m < sqrt(2 ε) + 1: beyond, a cap is too rare for e^ε to fill
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if cap_at(middle, epsilon).signal > middle:
            low = middle
        else:
            high = middle
    return cap_at(low, epsilon)


@dataclass(frozen=True, slots=True)
class PrivUnitG:
    """The mechanism for directions of `dim` numbers."""

    dim: int
    cap: Cap

    @property
    def alignment(self) -> float:
        """About the mean of ⟨output, u⟩: m / sqrt(E|z|²)."""
        return alignment(self.cap, self.dim)

    def draw(self, direction: Float64Array) -> Float64Array:
        """Tell a direction u, of length 1, shape (dim,); returns that of z."""
        return unit(self.noised(direction))

    def noised(self, direction: Float64Array) -> Float64Array:
        """The output z for that u, on the grid, shape (dim,)."""
        around = np.array([_NORMAL.inv_cdf(_uniform()) for _ in range(self.dim)])
        along = self._along()
        told = around + (along - around @ direction) * direction
        noised: Float64Array = np.round(told / _GRID) * _GRID
        return noised

    def _along(self) -> float:
        """t: of the upper tail with probability p, by its mirror image, where floats are dense."""
        if _uniform() < self.cap.inside:
            return -_NORMAL.inv_cdf(_uniform() * self.cap.share)
        return min(_NORMAL.inv_cdf(_uniform() * (1 - self.cap.share)), self.cap.threshold)


def alignment(cap: Cap, dim: int) -> float:
    """The mean along u by the usual length, m / sqrt(E|z|²), where E|z|² = dim + γ m."""
    return cap.signal / math.sqrt(dim + cap.threshold * cap.signal)


def unit(vector: Float64Array) -> Float64Array:
    """The direction of a vector; that of the first axis where it has none, so that nobody's vector is refused."""
    length = float(np.linalg.norm(vector))
    if length == 0:
        vector, length = np.eye(1, len(vector))[0], 1.0
    direction: Float64Array = vector / length
    return direction


def _uniform() -> float:
    """A number between 0 and 1, both left out."""
    return math.ldexp(secrets.randbits(_BITS) + 0.5, -_BITS)
