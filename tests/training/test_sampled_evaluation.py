"""Sampled evaluation against ranks counted by hand; ties count against us."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from training.histories import Histories
from training.sampled_evaluation import SampledQuality, evaluate_sampled, rank_among

ITEMS = 14


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(-2, 2), min_size=ITEMS, max_size=ITEMS),
            st.integers(0, ITEMS - 1) | st.none(),
            st.lists(st.integers(0, ITEMS - 1), max_size=ITEMS),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_an_item_is_found_where_fewer_than_ten_others_score_as_high(
    people: list[tuple[list[int], int | None, list[int]]],
) -> None:
    scores = np.array([scores for scores, _, _ in people], np.float32)
    held_out = Histories.of([] if item is None else [item] for _, item, _ in people)
    negatives = Histories.of(others for _, _, others in people)
    ranks = [
        1 + sum(mine[other] >= mine[item] for other in others if other != item)
        for mine, item, others in people
        if item is not None
    ]
    if not ranks:
        with pytest.raises(BadInput, match="nobody has held-out items"):
            evaluate_sampled(lambda clients: scores[clients], held_out, negatives)
        return
    quality = evaluate_sampled(lambda clients: scores[clients], held_out, negatives)
    assert quality.users == len(ranks)
    assert quality.hr_10 == pytest.approx(np.mean([rank <= 10 for rank in ranks]))
    assert quality.ndcg_10 == pytest.approx(np.mean([1 / math.log2(rank + 1) if rank <= 10 else 0 for rank in ranks]))


def test_a_scorer_that_likes_everything_alike_finds_nothing() -> None:
    quality = evaluate_sampled(
        lambda clients: np.ones((len(clients), 100), np.float32), Histories.of([[0]]), Histories.of([range(1, 100)])
    )
    assert quality == SampledQuality(hr_10=0.0, ndcg_10=0.0, users=1)


def test_a_score_that_is_no_number_ranks_last_wherever_it_stands() -> None:
    scores = np.array([math.nan, 1.0, math.nan, 0.0], np.float32)
    assert rank_among(scores, 0, np.array([1, 3])) == 3
    assert rank_among(scores, 3, np.array([2])) == 2


def test_more_people_than_are_scored_at_a_time_are_all_judged() -> None:
    people = 1200
    scores = np.zeros((people, 12), np.float32)
    scores[np.arange(people), 0] = np.arange(people) % 3 - 1.0  # one in three above the others, one in three equal
    quality = evaluate_sampled(
        lambda clients: scores[clients], Histories.of([[0]] * people), Histories.of([range(1, 12)] * people)
    )
    assert (quality.users, quality.hr_10) == (people, pytest.approx(1 / 3))


def test_lists_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(BadInput, match="held-out items of 1 clients and negatives of 2"):
        evaluate_sampled(lambda clients: np.zeros((1, 3)), Histories.of([[0]]), Histories.of([[1], [2]]))
    with pytest.raises(BadInput, match="one held-out item a person; somebody has 2"):
        evaluate_sampled(lambda clients: np.zeros((1, 3)), Histories.of([[0, 1]]), Histories.of([[2]]))


def test_the_names_of_the_figures_say_that_the_ranking_was_sampled() -> None:
    assert SampledQuality(0.5, 0.25, 4).figures() == {"sampled_hr@10": 0.5, "sampled_ndcg@10": 0.25, "users": 4}
