"""Evaluation against a slow ranking, a person at a time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from training.evaluation import evaluate, fold_in_scorer, top_rows
from training.histories import Histories
from training.settings import TrainingSettings

ITEMS = 30
PARTS = st.lists(
    st.tuples(st.sets(st.integers(0, 29), max_size=8), st.sets(st.integers(0, 29), max_size=12)), min_size=1, max_size=6
)


@given(PARTS, st.integers(0, 10_000))
def test_the_figures_are_those_of_ranking_one_person_at_a_time(
    people: list[tuple[set[int], set[int]]], seed: int
) -> None:
    train = Histories.of([sorted(met) for met, _ in people])
    held_out = Histories.of([sorted(wanted - met) for met, wanted in people])
    scores = np.random.default_rng(seed).permutation(len(people) * ITEMS).reshape(len(people), ITEMS).astype(np.float32)
    recalls, ndcgs, hits_10, covered = [], [], [], set()
    for person in range(len(people)):
        wanted, met = set(held_out[person].tolist()), set(train[person].tolist())
        if not wanted:
            continue
        ranking = sorted(set(range(ITEMS)) - met, key=lambda item: -scores[person, item])[:20]
        covered |= set(ranking)
        gain = sum(1 / math.log2(place + 2) for place, item in enumerate(ranking) if item in wanted)
        ideal = sum(1 / math.log2(place + 2) for place in range(min(20, len(wanted))))
        recalls.append(len(wanted & set(ranking)) / len(wanted))
        ndcgs.append(gain / ideal)
        hits_10.append(bool(wanted & set(ranking[:10])))
    if not recalls:
        with pytest.raises(BadInput, match="nobody has held-out items"):
            evaluate(lambda clients: scores[clients], ITEMS, held_out, [train])
        return
    quality = evaluate(lambda clients: scores[clients], ITEMS, held_out, [train])
    assert quality.users == len(recalls)
    assert quality.recall == pytest.approx(np.mean(recalls))
    assert quality.ndcg == pytest.approx(np.mean(ndcgs))
    assert quality.hr_10 == pytest.approx(np.mean(hits_10))
    assert quality.coverage == pytest.approx(len(covered) / ITEMS)


def test_an_item_met_is_never_recommended_even_where_too_few_are_left() -> None:
    train = Histories.of([list(range(28))])
    quality = evaluate(lambda clients: np.ones((len(clients), 30), np.float32), 30, Histories.of([[28]]), [train])
    assert quality.coverage == pytest.approx(2 / 30)
    assert quality.recall == 1


def test_an_item_that_cannot_be_scored_is_a_miss_even_where_the_list_has_room() -> None:
    scores = np.array([[1.0, 2.0, -np.inf]], np.float32)
    quality = evaluate(lambda clients: scores[clients], 3, Histories.of([[2]]), [])
    assert (quality.recall, quality.ndcg, quality.hr_10) == (0, 0, 0)


def test_a_sample_of_people_is_always_the_same_sample() -> None:
    random = np.random.default_rng(0)
    held_out = Histories.of([random.permutation(30)[:3].tolist() for _ in range(50)])
    scores = random.standard_normal((50, 30)).astype(np.float32)
    first, again = (evaluate(lambda c: scores[c], 30, held_out, [], most=20) for _ in range(2))
    assert first == again
    assert first.users == 20


@given(st.lists(st.lists(st.integers(-3, 3), min_size=5, max_size=5), min_size=1, max_size=4), st.integers(1, 7))
def test_top_rows_are_best_first_and_nothing_better_is_left_out(scores: list[list[int]], k: int) -> None:
    array = np.array(scores, np.float32)
    for line, rows in zip(array, top_rows(array, k), strict=True):
        assert len(set(rows.tolist())) == min(k, 5)
        keys = [(-line[row], row) for row in rows]
        assert keys == sorted(keys)
        assert sorted(line[rows]) == sorted(line)[::-1][: len(rows)][::-1]


def test_the_scores_are_those_that_serving_gives() -> None:
    random = np.random.default_rng(0)
    vectors = random.standard_normal((30, 4)).astype(np.float32)
    settings = TrainingSettings(alpha=0.5).fold_in(30)
    met = Histories.of([[1, 2, 3], [7]])
    scores = fold_in_scorer(vectors, met, settings)(np.array([1, 0]))
    system = np.outer(vectors[7], vectors[7]) + 0.5 * vectors.T @ vectors + 0.01 * (1 + 0.5 * 30) * np.eye(4)
    np.testing.assert_allclose(scores[0], vectors @ np.linalg.solve(system, vectors[7]), rtol=1e-3, atol=1e-4)
