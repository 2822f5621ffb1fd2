"""The accountant: from a budget (ε, δ) to a noise, and from all that was released back to what it has cost.

Every release here is a sum over people with Gaussian noise, to which one person adds a vector of length at most 1. With
noise of standard deviation σ such a release is (ε, δ)-differentially private for every ε with

    δ = Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ)        μ = 1/σ

and for no smaller δ (Balle and Wang 2018, "Improving the Gaussian mechanism", theorem 8). Releases of μ_1, μ_2, ...,
each chosen after the ones before were seen, are together exactly one of √(μ_1² + μ_2² + ...) (Dong, Roth and Su 2022,
"Gaussian differential privacy", corollary 3.3). So μ² is what a release costs, costs add, and nothing is lost to a
bound. Nobody is sampled: where everybody takes part once, there is no amplification to account for.
"""

import math

from feature_store.errors import BadInput

_HALVINGS = 200  # more than a double can tell apart
_MOST_EPSILON = 700.0  # beyond it e^ε is no double; such an ε protects nobody
_MOST_COST = 1e4


def delta_of(cost: float, epsilon: float) -> float:
    """The least δ at which releases of that cost μ² in all are (ε, δ)-differentially private.

    >>> round(delta_of(1.0, epsilon=1.0), 4)
    0.1269
    """
    if cost == 0:
        return 0.0
    mu = math.sqrt(cost)
    return max(0.0, _below(mu / 2 - epsilon / mu) - math.exp(epsilon) * _below(-mu / 2 - epsilon / mu))


def epsilon_of(cost: float, delta: float) -> float:
    """The least ε at which releases of that cost μ² in all are (ε, δ)-differentially private, rounded up.

    Raises:
        BadInput: δ is not between 0 and 1, or the cost is beyond all measure.
    """
    _require_delta(delta)
    if not 0 <= cost <= _MOST_COST:
        raise BadInput(f"releases cost from 0 to {_MOST_COST:g} in all; got {cost}")
    low, high = 0.0, _MOST_EPSILON
    if delta_of(cost, low) <= delta:
        return 0.0
    if delta_of(cost, high) > delta:
        raise BadInput(f"releases of cost {cost:g} are not private at any ε up to {_MOST_EPSILON:g} with δ = {delta:g}")
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(cost, middle) > delta else (low, middle)
    return high


def cost_of(epsilon: float, delta: float) -> float:
    """The most cost μ² that is still (ε, δ)-differentially private, rounded down; what a budget is worth.

    >>> round(cost_of(8.0, 1e-5) ** -0.5, 4)  # the noise, for a person who adds at most 1
    0.6002
    """
    _require_delta(delta)
    if not 0 < epsilon <= 100:
        raise BadInput(f"ε is above 0 and at most 100; got {epsilon}")
    low, high = 0.0, _MOST_COST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(middle, epsilon) <= delta else (low, middle)
    return low


def deviation_of(cost: float) -> float:
    """σ, the standard deviation of the noise on a release of that cost μ² > 0."""
    return 1 / math.sqrt(cost)


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise BadInput(f"δ is between 0 and 1; got {delta}")


def _below(x: float) -> float:
    """Φ(x), also where it is small."""
    return math.erfc(-x / math.sqrt(2)) / 2
