"""Subset selection, whose probabilities are counted exactly, and from what it draws."""

from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from feature_store.privunit_g import best_cap, unit
from feature_store.subset_selection import FAR, SubsetSelection, nearest, subset_selection

CHANCE = 1e-7  # of each test that random bits make it fail


def drawn_counts(noise: SubsetSelection, direction: np.ndarray, draws: int) -> np.ndarray:
    """How often each of the public directions is told."""
    places = {told.tobytes(): place for place, told in enumerate(noise.directions)}
    return np.bincount([places[noise.draw(direction).tobytes()] for _ in range(draws)], minlength=len(places))


@given(epsilon=st.floats(min_value=1e-9, max_value=64))
def test_a_near_direction_weighs_e_to_the_epsilon_rounded_down(epsilon: float) -> None:
    noise = subset_selection(2, epsilon, count=16)

    with localcontext(prec=80):
        exact = Decimal(epsilon).exp()
        assert Decimal(noise.weight) / FAR <= exact
        assert Decimal(noise.weight) / FAR > exact * Decimal("0.999998")


@pytest.mark.parametrize("count", [4, 16])
def test_each_direction_is_told_as_often_as_its_weight_says(count: int) -> None:
    """Near by cosines that are sorted one by one; with 16 directions of which some are near, with 4 one."""
    noise = subset_selection(3, 1.5, count=count)
    me = unit(np.array([0.3, -1.0, 0.4]))
    near = sorted(range(count), key=lambda place: -sum(noise.directions[place] * me))[: noise.near]
    weights = np.ones(count)
    weights[near] = np.exp(1.5)

    counts = drawn_counts(noise, me, 20_000)

    assert 0 < noise.near < count
    assert stats.chisquare(counts, 20_000 * weights / weights.sum()).pvalue > CHANCE


def test_between_any_two_people_no_direction_is_more_than_e_to_the_epsilon_times_as_likely() -> None:
    epsilon, draws = 1.0, 20_000
    noise = subset_selection(2, epsilon, count=8)
    people = [unit(np.array(towards)) for towards in ([1.0, 0.2], [-1.0, 0.1], [0.0, -1.0])]
    bounds = []
    for counts in (drawn_counts(noise, me, draws) for me in people):
        low = stats.beta.ppf(CHANCE, counts, draws - counts + 1)
        bounds.append((low, stats.beta.ppf(1 - CHANCE, counts + 1, draws - counts)))

    largest = max(np.log(first[0] / second[1]).max() for first, second in pairwise([*bounds, bounds[0]]))

    assert 0.7 * epsilon < largest <= epsilon


def test_with_ties_as_many_are_near_as_without() -> None:
    """All directions are the same, so that any are the nearest: the one in the draw weighs what it weighs."""
    noise = subset_selection(2, 3.0, count=6)
    tied = SubsetSelection(np.column_stack([np.ones(6), np.arange(6.0)]), 2, noise.weight, noise.alignment)

    counts = np.sort(drawn_counts(tied, np.array([1.0, 0.0]), 6000))

    assert counts[:4].sum() == pytest.approx(6000 * 4 / (4 + 2 * np.exp(3)), abs=150)


def test_the_public_directions_are_of_length_one_and_the_same_for_everybody() -> None:
    first, second = subset_selection(5, 2.0, count=300), subset_selection(5, 8.0, count=300)

    assert np.linalg.norm(first.directions, axis=1) == pytest.approx(np.ones(300))
    assert np.array_equal(first.directions, second.directions)
    assert np.abs(first.directions.mean(axis=0)).max() < 0.15


def test_as_many_are_near_as_the_best_cap_holds_and_never_none() -> None:
    assert nearest(2.0) == round(best_cap(2.0).share * 2**14)
    assert nearest(64.0) == 1


@pytest.mark.parametrize(("dim", "epsilon"), [(4, 2.0), (8, 8.0), (16, 16.0)])
def test_the_alignment_is_about_the_mean_of_what_is_drawn_along_the_direction(dim: int, epsilon: float) -> None:
    noise = subset_selection(dim, epsilon)
    told = unit(np.arange(1.0, dim + 1))

    mean = float(np.mean([noise.draw(told) @ told for _ in range(800)]))

    assert mean == pytest.approx(noise.alignment, abs=0.15)  # a Gaussian cap is not a sphere's: .03 to .1 below
