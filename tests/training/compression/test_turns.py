"""Turns: every row gets its share of the rounds, popular ones more, and each round asks for as many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.compression.turns import asked_rows, first_credit, rows_asked, turns_a_round

COUNTS = st.lists(st.integers(0, 5000), min_size=1, max_size=60)


@given(COUNTS, st.floats(0.05, 1))
def test_turns_are_in_proportion_to_the_roots_of_the_counts_where_they_are_below_one(
    counts: list[int], share: float
) -> None:
    turns = turns_a_round(np.array(counts, np.float32), share).astype(np.float64)
    assert turns.sum() == pytest.approx(share * len(counts), rel=1e-5)
    assert turns.max() <= 1
    roots = np.sqrt(np.maximum(counts, 1))
    below = turns < 1 - 1e-6
    if below.any():
        factor = turns[below][0] / roots[below][0]
        np.testing.assert_allclose(turns, np.minimum(1, factor * roots), rtol=1e-4)


@given(COUNTS, st.floats(0.05, 1))
def test_over_many_rounds_each_row_is_asked_for_as_often_as_it_has_turns(counts: list[int], share: float) -> None:
    turns, credit = turns_a_round(np.array(counts, np.float32), share), first_credit(len(counts))
    asked, rounds = np.zeros(len(counts)), 200
    for _ in range(rounds):
        credit = credit + turns
        rows = asked_rows(credit, share)
        assert len(rows) == rows_asked(len(counts), share)
        assert rows.tolist() == sorted(set(rows.tolist()))
        credit[rows] -= 1
        asked[rows] += 1
    drift = abs(rows_asked(len(counts), share) / len(counts) - share)  # of a share that is no whole number of rows
    np.testing.assert_allclose(asked / rounds, turns, atol=0.02 + 2 * drift * len(counts))
