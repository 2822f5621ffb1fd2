"""Subset selection: a direction that is told under ε-local differential privacy, as one of many public directions.

Of K public directions the k nearest to u are near, the others far. One of the K is drawn, each near one e^ε times as
likely as each far one (Ye and Barg 2018, "Optimal schemes for discrete distribution estimation under locally
differential privacy"; that a private direction can be told by one of many public random ones is "minimal random
coding" of Shah et al. 2022, "Optimal compression of locally differentially private mechanisms"):

    P(c) = e^ε / (k e^ε + K − k) for each near c        P(c) = 1 / (k e^ε + K − k) for each far c

For every u exactly k are near, so that both denominators are the same and, whatever two directions a person might have,
the probabilities of any c differ at most by the factor e^ε: pure ε-LDP. It is PrivUnit on a grid of directions:
k/K is the share of its cap.

Nothing here depends on rounding. Which directions are near is some function of u, exact or not; the draw is made of
whole numbers, near/far <= e^ε, with random bits of the operating system; what is told is a public direction, whose
last bits nobody's data have touched.
"""

import math
import secrets
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from feature_store.arrays import Float64Array
from feature_store.privunit_g import alignment, best_cap, cap_at

DIRECTIONS = 1 << 14
"""K. More tell more where ε is above ln K, 9.7, and each doubling doubles the work."""

FAR = 1 << 20
"""The weight of a far direction; that of a near one is rounded down."""

_BELOW = 1 - 2.0**-40  # exp is exact to a bit or two; this is well below
_SEED = 9  # nothing depends on which


@dataclass(frozen=True, slots=True, eq=False)
class SubsetSelection:
    """The mechanism, ready to draw from.

    directions: public, each of length 1, shape (K, dim).
    near: k.
    weight: of a near direction, where a far one weighs `FAR`.
    alignment: about the mean of ⟨output, u⟩, or up to .1 below it in few dimensions.
    """

    directions: Float64Array
    near: int
    weight: int
    alignment: float

    def draw(self, direction: Float64Array) -> Float64Array:
        """Tell a direction u, of length 1, shape (dim,); returns one of the public ones."""
        order = np.argpartition(-(self.directions @ direction), self.near - 1)
        ticket = secrets.randbelow(self.near * self.weight + (len(order) - self.near) * FAR)
        beyond = ticket - self.near * self.weight
        place = ticket // self.weight if beyond < 0 else self.near + beyond // FAR
        told: Float64Array = self.directions[order[place]]
        return told


def subset_selection(dim: int, epsilon: float, count: int = DIRECTIONS) -> SubsetSelection:
    """The mechanism for directions of `dim` numbers; the same for everybody."""
    drawn = np.random.default_rng([_SEED, dim, count]).standard_normal((count, dim))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    near = nearest(epsilon, count)
    weight = max(FAR, math.floor(math.exp(epsilon) * _BELOW * FAR))
    return SubsetSelection(drawn, near, weight, expected_alignment(dim, epsilon, count))


def nearest(epsilon: float, count: int = DIRECTIONS) -> int:
    """k: the share of the best cap, at least one direction."""
    return max(1, round(best_cap(epsilon).share * count))


def expected_alignment(dim: int, epsilon: float, count: int = DIRECTIONS) -> float:
    """As of a Gaussian cap of the share k/K."""
    return alignment(cap_at(-NormalDist().inv_cdf(nearest(epsilon, count) / count), epsilon), dim)
