"""PrivUnitG, held against densities that SciPy computes, and audited from what it draws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from feature_store.privunit_g import Cap, PrivUnitG, best_cap, cap_at, unit

EPSILONS = st.floats(min_value=0.05, max_value=64)
CHANCE = 1e-7  # of each test that random bits make it fail


def density(z: np.ndarray, person: int, cap: Cap) -> np.ndarray:
    """Of the output in one dimension, for the direction +1 or -1."""
    inside = stats.truncnorm.pdf(z * person, cap.threshold, np.inf)
    outside = stats.truncnorm.pdf(z * person, -np.inf, cap.threshold)
    return cap.inside * inside + (1 - cap.inside) * outside


def distribution(z: np.ndarray, cap: Cap) -> np.ndarray:
    """Of the output along the direction told: the chance of at most z."""
    inside = stats.truncnorm.cdf(z, cap.threshold, np.inf)
    outside = stats.truncnorm.cdf(z, -np.inf, cap.threshold)
    return cap.inside * inside + (1 - cap.inside) * outside


@given(epsilon=EPSILONS)
def test_the_densities_of_two_people_differ_by_e_to_the_epsilon_at_most_and_somewhere_by_that(epsilon: float) -> None:
    cap = best_cap(epsilon)
    z = np.linspace(-cap.threshold - 3, cap.threshold + 3, 2001)

    ratios = np.log(density(z, 1, cap)) - np.log(density(z, -1, cap))

    assert np.abs(ratios).max() == pytest.approx(epsilon, rel=1e-7)


@given(epsilon=EPSILONS, threshold=st.floats(min_value=0, max_value=12))
def test_no_other_cap_that_e_to_the_epsilon_allows_tells_more(epsilon: float, threshold: float) -> None:
    def signal(at: float) -> float:
        share = stats.norm.sf(at)
        inside = 1 / (1 + math.exp(-epsilon) * stats.norm.cdf(at) / share)
        above, below = stats.norm.pdf(at) / share, -stats.norm.pdf(at) / stats.norm.cdf(at)
        return inside * above + (1 - inside) * below  # means of a normal number above and below

    best = best_cap(epsilon).signal

    assert signal(threshold) <= best * (1 + 1e-9)
    assert cap_at(threshold, epsilon).signal == pytest.approx(signal(threshold), rel=1e-6, abs=1e-12)
    found = optimize.minimize_scalar(lambda at: -signal(at), bounds=(0, 12), method="bounded", options={"xatol": 1e-9})
    assert best == pytest.approx(-found.fun, rel=1e-7)


@pytest.mark.parametrize("epsilon", [0.5, 4.0, 32.0])
def test_what_is_drawn_has_that_distribution_along_the_direction_and_a_normal_one_across(epsilon: float) -> None:
    noise = PrivUnitG(3, best_cap(epsilon))
    told = unit(np.array([2.0, -1.0, 0.5]))
    across = unit(np.array([1.0, 2.0, 0.0]))

    drawn = np.array([noise.noised(told) for _ in range(12_000)])

    assert stats.kstest(drawn @ told, lambda z: distribution(z, noise.cap)).pvalue > CHANCE
    assert stats.kstest(drawn @ across, "norm").pvalue > CHANCE
    assert abs(np.corrcoef(drawn @ told, drawn @ across)[0, 1]) < 0.06


def test_an_audit_from_samples_finds_all_of_a_small_epsilon_and_no_more() -> None:
    """How often two opposite people come to lie on the same side of a line, as confidence bounds of the ratio."""
    epsilon, draws = 1.0, 30_000
    noise = PrivUnitG(2, best_cap(epsilon))
    mine, other = (np.array([noise.noised(np.array([sign, 0.0]))[0] for _ in range(draws)]) for sign in (1.0, -1.0))
    at_least, at_most = [], []
    for line in (-noise.cap.threshold, -0.5, 0.0, 0.5, noise.cap.threshold, 1.5):
        first, second = int((mine >= line).sum()), int((other >= line).sum())
        low, high = (
            stats.beta.ppf(CHANCE, first, draws - first + 1),
            stats.beta.ppf(1 - CHANCE, first + 1, draws - first),
        )
        low_other = stats.beta.ppf(CHANCE, second, draws - second + 1)
        high_other = stats.beta.ppf(1 - CHANCE, second + 1, draws - second)
        at_least.append(math.log(low / high_other))
        at_most.append(math.log(high / low_other))

    assert max(at_least) <= epsilon
    assert max(at_most) >= epsilon
    assert max(at_least) > 0.8 * epsilon


@pytest.mark.parametrize(("dim", "epsilon"), [(4, 2.0), (8, 8.0), (16, 16.0)])
def test_the_alignment_is_about_the_mean_of_what_is_drawn_along_the_direction(dim: int, epsilon: float) -> None:
    noise = PrivUnitG(dim, best_cap(epsilon))
    told = unit(np.arange(1.0, dim + 1))

    mean = float(np.mean([noise.draw(told) @ told for _ in range(2000)]))

    assert mean == pytest.approx(noise.alignment, abs=0.07)


def test_what_leaves_lies_on_a_coarse_grid_whatever_the_last_bits_of_a_direction_are() -> None:
    noise = PrivUnitG(4, best_cap(8.0))
    for seed in range(50):
        steps = noise.noised(unit(np.random.default_rng(seed).normal(size=4))) * 1024
        assert steps.tolist() == np.round(steps).tolist()


def test_nobody_can_seed_what_is_drawn() -> None:
    noise, told = PrivUnitG(4, best_cap(8.0)), np.eye(4)[0]
    drawn = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002 - the generator that somebody might have seeded
        drawn.append(noise.noised(told).tolist())
    assert drawn[0] != drawn[1]


def test_a_vector_without_a_direction_has_one_all_the_same() -> None:
    assert unit(np.zeros(3)).tolist() == [1.0, 0.0, 0.0]
    assert unit(np.array([3.0, 4.0])).tolist() == [0.6, 0.8]
