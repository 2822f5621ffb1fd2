"""Negatives come from everything outside the client's train items, and from nothing less."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.losses.negatives import sample_negatives
from training.padding import PADDING, pad

VECTORS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


def rows(*items: int) -> np.ndarray:
    return np.array(items, np.int32)


@given(history=st.sets(st.integers(0, 19), max_size=20), size=st.integers(0, 25))
def test_negatives_are_distinct_items_that_were_not_met(history: set[int], size: int) -> None:
    negatives = sample_negatives(VECTORS, pad([rows(*history)]), size)
    drawn = negatives.rows[0][negatives.rows[0] != PADDING].tolist()
    unmet = 20 - len(history)
    assert len(set(drawn)) == len(drawn) == min(size, unmet)
    assert not set(drawn) & history
    assert set(drawn) <= set(range(20))
    assert negatives.probability[0] == np.float32(min(size, unmet) / unmet if unmet else 1)


def test_every_item_not_met_is_as_likely_as_any_other() -> None:
    """Over many rounds; an item that is held out is one of them, as nobody told the sampler."""
    random = np.random.default_rng(1)
    padded = pad([rows(3, 0, 19, 7)])
    counts = np.zeros(20)
    for _ in range(4000):
        negatives = sample_negatives(random.normal(size=(20, 1)).astype(np.float32), padded, 4)
        counts[negatives.rows[0]] += 1
    assert counts[[0, 3, 7, 19]].sum() == 0
    unmet = np.delete(counts / 4000, [0, 3, 7, 19])
    np.testing.assert_allclose(unmet, 4 / 16, atol=0.035)  # five standard errors
    assert negatives.probability[0] == np.float32(4 / 16)


def test_the_draw_follows_from_the_round_and_the_history_alone() -> None:
    alone = sample_negatives(VECTORS, pad([rows(1, 2)]), 6)
    among_others = sample_negatives(VECTORS, pad([rows(5, 6, 7, 8), rows(2, 1), rows(9)]), 6)
    np.testing.assert_array_equal(alone.rows[0], among_others.rows[1])
    assert alone.rows[0].tolist() != among_others.rows[2].tolist()
    next_round = sample_negatives(VECTORS + np.float32(1e-3), pad([rows(1, 2)]), 6)
    assert alone.rows[0].tolist() != next_round.rows[0].tolist()
