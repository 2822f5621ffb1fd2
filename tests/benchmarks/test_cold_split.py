"""Histories divided by item."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cold_split import split_by_item
from feature_store.errors import BadInput
from training.histories import Histories

histories = st.lists(st.sets(st.integers(0, 59), min_size=15, max_size=40), min_size=3, max_size=8)


@given(histories, st.integers(0, 99))
def test_every_interaction_is_in_one_part_and_those_with_new_items_are_never_trained_on(
    met: list[set[int]], seed: int
) -> None:
    cold = split_by_item(Histories.of(sorted(rows) for rows in met), 60, seed)
    valid, test = set(cold.valid.items.tolist()), set(cold.test.items.tolist())
    found = len(set().union(*met))
    assert (len(test), len(valid)) == (found // 5, (found - found // 5) // 5)
    assert not valid & test
    for client, rows in enumerate(met):
        assert set(cold.train[client].tolist()) == rows - valid - test
        assert {int(cold.valid.items[at]) for at in cold.valid.met[client]} == rows & valid
        assert {int(cold.test.items[at]) for at in cold.test.met[client]} == rows & test


def test_new_items_are_drawn_by_the_seed_among_those_that_enough_people_met() -> None:
    met = Histories.of([range(50), range(30), range(30)])
    draws = [split_by_item(met, 60, seed, least=3).test.items for seed in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert draws[0].tolist() != draws[2].tolist()
    assert max(draws[0]) < 30
    assert len(draws[0]) == 6


def test_too_few_items_to_divide_are_refused() -> None:
    with pytest.raises(BadInput, match="4 items that at least 1 people met leave no fifth"):
        split_by_item(Histories.of([range(4)]), 10, 1)
