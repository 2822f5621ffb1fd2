"""Whoever drops out, at whatever stage: the sum over who stayed long enough, or a refusal; never another sum."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.secure_aggregation import independent
from tests.training.secure_aggregation.rounds import LAYOUT, random_values, run, world
from training.secure_aggregation.errors import TooFewClients
from training.secure_aggregation.fixed_point import Layout

FIELDS = [(field.name, field.shape, field.bound) for field in LAYOUT.fields]


@settings(max_examples=40)
@given(st.integers(3, 6), st.sampled_from([16, 32, 64]), st.data())
def test_the_sum_is_over_who_sent_its_input_or_there_is_none(clients: int, word_bits: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(clients // 2 + 1, clients))
    of = world(clients, threshold, Layout(LAYOUT.fields, word_bits))
    leaves = {name: data.draw(st.sampled_from([5, 5, 5, 0, 1, 2, 3, 4])) for name in of.terms.cohort}
    values = {name: random_values(LAYOUT, data.draw(st.integers(0, 99))) for name in of.terms.cohort}
    there = [sum(left > stage for left in leaves.values()) for stage in range(5)]
    if min(there) < threshold:
        few = next(number for number in there if number < threshold)
        with pytest.raises(TooFewClients, match=f"needs {threshold} clients; those who answered are {few}:"):
            run(of, values, leaves)
        return
    result = run(of, values, leaves)
    survivors = [name for name, left in leaves.items() if left > 2]
    assert list(result.clients) == survivors
    expected = [
        sum(column)
        for column in zip(
            *(independent.rounded(values[name], FIELDS, word_bits, clients) for name in survivors), strict=True
        )
    ]
    steps = [
        independent.step_of(field.bound, word_bits, clients) for field in LAYOUT.fields for _ in range(field.numbers)
    ]
    got = np.concatenate([array.ravel() for array in result.sums.values()])
    for number, integer, step in zip(got, expected, steps, strict=True):
        slack = Fraction(abs(integer), 2**52) * step if word_bits == 64 else 0  # that of a float64
        assert abs(Fraction(float(number)) - integer * step) <= slack


def test_counts_are_exact_and_gradients_within_the_error_that_is_stated() -> None:
    of = world(10, 7)
    values = {name: random_values(LAYOUT, number) for number, name in enumerate(of.terms.cohort)}
    result = run(of, values, {"cell-2": 0, "cell-5": 2})
    there = [values[name] for name in result.clients]
    assert len(there) == 8
    assert result.sums["counts"].tolist() == np.sum([one["counts"] for one in there], axis=0).tolist()
    exact = np.sum([one["gradient"].astype(np.float64) for one in there], axis=0)
    assert np.abs(result.sums["gradient"] - exact).max() <= 8 * 2.0**-27 / 2


def test_whoever_leaves_after_its_input_is_in_the_sum() -> None:
    of = world(4, 3)
    values = {name: random_values(LAYOUT, 1) for name in of.terms.cohort}
    result = run(of, values, {"cell-1": 3})
    assert result.clients == of.terms.cohort
    assert result.sums["counts"].tolist() == (4 * values["cell-0"]["counts"]).tolist()
