"""Item-item weights: the clients' sum, the server's solution, and who sends what."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.vocabulary import ItemVocabulary
from training.cohort import disjoint_cohorts
from training.histories import Histories
from training.item_item import co_occurrence_update, collect_item_item, item_item_weights, most_met
from training.item_item_settings import ItemItemSettings
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

HISTORIES = st.lists(
    st.sets(st.integers(0, 9), min_size=1).map(lambda s: np.array(sorted(s), np.int32)), min_size=1, max_size=8
)
ROWS = np.array([1, 4, 5, 8], np.int32)


def dense(histories: list[np.ndarray], items: int) -> np.ndarray:
    """Who has met what, shape (clients, items)."""
    return np.array([[row in history for row in range(items)] for history in histories], np.float64)


@given(HISTORIES, st.sampled_from([0.0, 0.8]))
def test_the_sum_counts_who_met_both_items_of_each_pair(histories: list[np.ndarray], exponent: float) -> None:
    met = dense(histories, 10)
    weights = met.sum(axis=1) ** -exponent
    update = co_occurrence_update(ROWS, histories, exponent)
    gram = (met * weights[:, None]).T @ met
    expected = [gram[ROWS[a], ROWS[b]] for a in range(4) for b in range(a, 4)]
    np.testing.assert_allclose(update.sums["co_occurrence"], expected, rtol=1e-5)
    assert update.sums["activity"][0] == pytest.approx(weights.sum(), rel=1e-5)
    assert update.clients == len(histories)


@given(HISTORIES)
def test_the_sums_of_two_cohorts_are_those_of_both_together(histories: list[np.ndarray]) -> None:
    both = histories + histories[:1]
    apart = co_occurrence_update(ROWS, histories, 0.5) + co_occurrence_update(ROWS, histories[:1], 0.5)
    together = co_occurrence_update(ROWS, both, 0.5)
    for name, array in together.sums.items():
        np.testing.assert_allclose(apart.sums[name], array, rtol=1e-5)


def test_what_a_client_sends_has_one_size_whatever_it_has_met() -> None:
    one = co_occurrence_update(ROWS, [np.array([4], np.int32)])
    other = co_occurrence_update(ROWS, [np.array([0, 1, 2, 3, 5, 6, 8], np.int32)])
    nothing_counted = co_occurrence_update(ROWS, [np.array([0], np.int32)])
    assert one.uplink_bytes == other.uplink_bytes == nothing_counted.uplink_bytes == 4 * (10 + 1) + 8
    assert not nothing_counted.sums["co_occurrence"].any()


@settings(max_examples=30)
@given(st.integers(0, 99), st.sampled_from([0.0, 0.7]), st.sampled_from([0.0, 0.4]))
def test_the_weights_are_the_least_squares_solution_with_a_zero_diagonal(
    seed: int, exponent: float, dropout: float
) -> None:
    """Each column is a ridge regression of its item on all others: solved one by one here."""
    random = np.random.default_rng(seed)
    histories = [np.flatnonzero(random.random(6) < 0.5).astype(np.int32) for _ in range(20)]
    histories = [history for history in histories if len(history)]
    chosen = ItemItemSettings(regularization=2.0, dropout=dropout, weight=0.5)
    weights = item_item_weights(co_occurrence_update(np.arange(6, dtype=np.int32), histories, exponent), 6, chosen)
    met = dense(histories, 6)
    client_weights = met.sum(axis=1) ** -exponent
    gram = (met * (client_weights / client_weights.mean())[:, None]).T @ met
    for item in range(6):
        others = [other for other in range(6) if other != item]
        system = gram[np.ix_(others, others)] + np.diag(2.0 + dropout * np.diag(gram)[others])
        np.testing.assert_allclose(
            weights[others, item], 0.5 * np.linalg.solve(system, gram[others, item]), rtol=1e-3, atol=1e-5
        )
    assert not np.diag(weights).any()


def test_the_most_met_items_are_counted_and_none_that_nobody_met() -> None:
    counts = np.array([3, 0, 7, 3, 1], np.float32)
    assert most_met(counts, 2).tolist() == [0, 2]
    assert most_met(counts, 10).tolist() == [0, 2, 3, 4]


def test_each_client_sends_once() -> None:
    clients = np.array([3, 5, 8, 13, 21, 34, 55])
    cohorts = disjoint_cohorts(clients, 3, seed=1)
    assert sorted(np.concatenate(cohorts).tolist()) == clients.tolist()
    assert max(map(len, cohorts)) <= 3
    train = Histories.of([[0, 1], [], [0, 1, 2], [2], [1, 2]])
    chosen = ItemItemSettings(items=3, regularization=1.0)
    collected = collect_item_item(train, np.array([2, 3, 3], np.float32), 2, 7, chosen)
    at_once = co_occurrence_update(np.arange(3, dtype=np.int32), [h for h in train if len(h)], 0.8)
    np.testing.assert_allclose(collected.item_item.weights, item_item_weights(at_once, 3, chosen), rtol=1e-5)
    assert collected.uplink_bytes_per_client == at_once.uplink_bytes


def test_items_that_go_together_in_pairs_are_found_through_their_weights() -> None:
    """Item 2j is always met with 2j + 1, for many j: more pairs than a two-tower model of dim 2 has directions."""
    random = np.random.default_rng(0)
    pairs = [random.choice(12, 3, replace=False) for _ in range(200)]
    train = [[int(item) for pair in chosen for item in (2 * pair, 2 * pair + 1)] for chosen in pairs]
    held_out = [history.pop() for history in train]
    empty = Histories.of([()] * 200)
    split = Split(
        ItemVocabulary([str(i) for i in range(24)]),
        tuple(map(str, range(200))),
        Histories.of(train),
        empty,
        Histories.of([[item] for item in held_out]),
    )
    run = prepare(
        split, TrainingSettings(dim=2, rounds=5, cohort=200, item_item=ItemItemSettings(items=24, regularization=5.0))
    )
    *_, (state, _) = run.rounds(run.start())
    alone, beside = run.test(state), run.test(state, run.item_item(state))
    assert beside.ndcg > 0.95
    assert alone.ndcg < 0.8


def test_without_the_setting_nobody_sends_anything() -> None:
    empty = Histories.of([()])
    split = Split(ItemVocabulary(["a", "b"]), ("u",), Histories.of([[0]]), empty, empty)
    run = prepare(split, TrainingSettings(dim=2))
    assert run.item_item(run.start()) is None
