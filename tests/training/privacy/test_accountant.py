"""The accountant, held against scipy's normal distribution and Google's dp-accounting."""

import math
from collections.abc import Callable

import pytest
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from feature_store.errors import BadInput
from training.privacy.accountant import cost_of, delta_of, deviation_of, epsilon_of

EPSILONS = st.floats(0.05, 30)
DELTAS = st.floats(1e-9, 0.2)


@given(mu=st.floats(0.05, 6), epsilon=st.floats(0, 30))
def test_delta_is_the_worst_difference_of_two_normal_distributions(mu: float, epsilon: float) -> None:
    """P(A) − e^ε Q(A) over all A: the best A are the outcomes whose likelihood ratio is above e^ε."""
    threshold = mu / 2 + epsilon / mu  # of N(μ, 1) against N(0, 1)
    expected = norm.sf(threshold - mu) - math.exp(epsilon) * norm.sf(threshold)
    assert delta_of(mu**2, epsilon) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(epsilon=EPSILONS, delta=DELTAS)
def test_a_budget_is_spent_to_the_last_and_not_passed(epsilon: float, delta: float) -> None:
    cost = cost_of(epsilon, delta)
    assert delta_of(cost, epsilon) <= delta
    assert delta_of(cost * 1.0001, epsilon) > delta
    assert epsilon_of(cost, delta) == pytest.approx(epsilon, rel=1e-6)


@pytest.mark.parametrize("epsilon", [1.0, 8.0])
@pytest.mark.parametrize("releases", [1, 3])
def test_an_independent_accountant_agrees(epsilon: float, releases: int) -> None:
    """Privacy loss distributions, composed by convolution, round up by a grid of 1e-4."""
    each = deviation_of(cost_of(epsilon, 1e-5) / releases)
    peer = PLDAccountant().compose(SelfComposedDpEvent(GaussianDpEvent(each), releases))
    assert peer.get_epsilon(1e-5) == pytest.approx(epsilon, rel=2e-3)


def test_more_releases_cost_more() -> None:
    assert epsilon_of(0, 1e-5) == 0
    assert epsilon_of(0.1, 1e-5) < epsilon_of(0.2, 1e-5) < epsilon_of(0.3, 1e-5)


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (lambda: cost_of(0, 1e-5), "ε is above 0"),
        (lambda: cost_of(1, 0), "δ is between 0 and 1"),
        (lambda: epsilon_of(-1, 1e-5), "releases cost from 0"),
        (lambda: epsilon_of(5000, 1e-5), "not private at any ε"),
    ],
)
def test_what_is_no_budget_is_refused(refused: Callable[[], float], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        refused()
