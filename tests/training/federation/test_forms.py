"""Bounds from public facts: no honest cell's sums are beyond them, and some come close."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.federation.forms import power_of_two, round_form
from training.federation.sums import Sums, of_update
from training.federation.tasks import LossSettings
from training.histories import Histories
from training.streaming import streamed_update


def sums_of(vectors: np.ndarray, histories: list[list[int]], loss: LossSettings) -> Sums:
    update = streamed_update(
        vectors.astype(np.float32),
        Histories.of(np.array(rows, np.int32) for rows in histories),
        loss.fold_in,
        activity_exponent=loss.activity_exponent,
        bound=loss.bound,
    )
    return of_update(update)


@given(
    seed=st.integers(0, 2**32),
    scale=st.sampled_from([1e-3, 0.03, 0.3, 1.0, 10.0, 1e3]),
    alpha=st.sampled_from([1e-4, 0.02, 0.2, 3.0]),
    regularization=st.sampled_from([1e-4, 0.01, 1.0]),
    exponent=st.sampled_from([0.0, 0.3, 1.0]),
    row_bound=st.sampled_from([None, 0.01, 0.25]),
    people=st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_the_sums_of_any_people_are_within_the_bounds_of_as_many(
    seed: int, scale: float, alpha: float, regularization: float, exponent: float, row_bound: float | None, people: int
) -> None:
    random = np.random.default_rng(seed)
    loss = LossSettings(alpha=alpha, regularization=regularization, activity_exponent=exponent, row_bound=row_bound)
    vectors = scale * random.standard_normal((30, 4))
    vectors[random.random(30) < 0.3] = scale  # many that are the same: their gradients add up
    histories = [random.permutation(30)[: random.integers(1, 31)].tolist() for _ in range(people)]
    sums_of(vectors, histories, loss).require(round_form(30, 4, people, loss))


def test_the_bound_on_energies_is_reached_but_for_the_rounding_to_a_power_of_two() -> None:
    """One item, λ = ρ up to α: its vector as long as √ρ makes s = 1/2, where s − s² is largest."""
    loss = LossSettings(alpha=1e-6, regularization=0.01, activity_exponent=0.0)
    vectors = np.array([[np.sqrt(0.01), 0.0]])
    form = round_form(1, 2, 1, loss)
    found = sums_of(vectors, [[0]], loss).arrays["user_gram"][0, 0]
    assert found == pytest.approx(1 / (4 * 0.01), rel=1e-3)
    assert found <= form.bounds["user_gram"] <= 2.1 * found


def test_a_bound_on_one_person_makes_tight_bounds_and_one_word_of_a_gradient() -> None:
    loss = LossSettings(alpha=0.2, regularization=0.01, activity_exponent=0.3)
    bounded = loss.model_copy(update={"row_bound": 0.25})
    wide, tight = round_form(3628, 64, 600, loss), round_form(3628, 64, 600, bounded)
    assert tight.bounds["item_gradient"] == power_of_two(600 * 0.25 * 1.01) == 256
    assert tight.bounds["item_gradient"] < wide.bounds["item_gradient"] / 10
    assert (wide.words["item_gradient"], tight.words.get("item_gradient", 1)) == (2, 1)


@given(st.floats(1e-20, 1e20))
def test_a_power_of_two_is_the_least_that_is_no_smaller(bound: float) -> None:
    found = power_of_two(bound)
    assert np.frexp(found)[0] == 0.5
    assert found / 2 < bound <= found
