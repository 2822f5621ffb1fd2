"""Recency: the two terms by hand, and their choice on a world in which only the recent, or only one's own, is right."""

import math
from dataclasses import replace

import numpy as np
import pytest

from feature_store.arrays import Float32Array, Int64Array
from feature_store.errors import BadInput
from feature_store.vocabulary import ItemVocabulary
from training.evaluation import evaluate
from training.histories import Histories
from training.recency import RecencyTerms, choose_recency, with_recency
from training.split import Split
from training.split_log import DAY, MeetingLog

PEOPLE, ITEMS = 30, 60


def nothing_known(clients: Int64Array) -> Float32Array:
    return np.zeros((len(clients), ITEMS), np.float32)


def log_of(*meetings: tuple[int, int, float]) -> MeetingLog:
    clients, items, ages = zip(*meetings, strict=True)
    return MeetingLog(np.array(clients, np.int32), np.array(items, np.int32), np.array(ages, np.float64))


def test_the_terms_are_those_of_the_formula() -> None:
    log = log_of((1, 2, 0.0), (0, 2, 2 * DAY), (1, 3, 1 * DAY), (1, 2, 4 * DAY))
    terms = RecencyTerms(popular=0.5, popular_days=2.0, own=3.0, own_days=4.0)
    scores = with_recency(lambda clients: clients[:, None] + np.zeros((1, 5), np.float32), log, 5, terms)(
        np.array([1, 0])
    )
    n = np.array([0, 0, 1 + 0.5 + 0.25, 0.5**0.5, 0])
    prior = 0.5 * np.log1p(n) / np.log1p(n).max()
    mine = np.array([0, 0, 1 + 0.5, 0.5**0.25, 0])
    theirs = np.array([0, 0, 0.5**0.5, 0, 0])
    np.testing.assert_allclose(scores[0], 1 + prior + 3 * mine / (1 + mine), rtol=1e-6)
    np.testing.assert_allclose(scores[1], 0 + prior + 3 * theirs / (1 + theirs), rtol=1e-6)


def test_a_term_without_weight_changes_nothing_and_the_scores_given_are_not_written_to() -> None:
    log, given = log_of((0, 1, 0.0)), np.ones((1, 3), np.float32)
    plain = with_recency(lambda clients: given, log, 3, RecencyTerms())
    assert plain(np.array([0])).tolist() == [[1, 1, 1]]
    with_recency(lambda clients: given, log, 3, RecencyTerms(popular=1.0, own=1.0))(np.array([0]))
    assert given.tolist() == [[1, 1, 1]]


def fashion(*, ranks_met: bool) -> Split:
    """Long ago everybody met items 0..19, yesterday 20..39, of which each person misses five; those come next.

    Where met items are ranked, what comes next is what the person met most often, of the items of long ago.
    """
    log, valid = [], []
    for person in range(PEOPLE):
        random = np.random.default_rng([4, person])
        missed = random.choice(np.arange(20, 40), 5, replace=False)
        favourites = random.choice(20, 5, replace=False)
        log += [(person, item, 200 * DAY) for item in range(20) for _ in range(2)]
        log += [(person, item, DAY) for item in range(20, 40) if item not in missed]
        log += [(person, item, 100 * DAY) for item in favourites for _ in range(6)] if ranks_met else []
        valid.append(favourites if ranks_met else missed)
    train = Histories.of(sorted({item for who, item, _ in log if who == person}) for person in range(PEOPLE))
    return Split(
        vocabulary=ItemVocabulary(f"i{item}" for item in range(ITEMS)),
        user_ids=tuple(f"p{person}" for person in range(PEOPLE)),
        train=train,
        valid=Histories.of(valid),
        test=Histories.of([()] * PEOPLE),
        ranks_met=ranks_met,
        log=log_of(*log),
    )


def ndcg(split: Split, terms: RecencyTerms) -> float:
    assert split.log is not None
    score = with_recency(nothing_known, split.log, ITEMS, terms)
    return evaluate(score, ITEMS, split.valid, split.met_before_valid).ndcg


def test_what_everybody_met_lately_is_chosen_where_it_comes_next() -> None:
    split = fashion(ranks_met=False)
    terms = choose_recency(nothing_known, split)
    assert terms.popular > 0
    assert terms.own == 0  # items met are not ranked, so that one's own history says nothing
    assert ndcg(split, terms) == 1 > ndcg(split, RecencyTerms())


def test_ones_own_history_is_chosen_where_people_come_back() -> None:
    split = fashion(ranks_met=True)
    terms = choose_recency(nothing_known, split)
    assert terms.own > 0
    assert ndcg(split, terms) == 1 > ndcg(split, replace(terms, own=0.0))


def test_terms_that_gain_nothing_stay_at_0() -> None:
    split = fashion(ranks_met=False)
    wanted = np.zeros((PEOPLE, ITEMS), np.float32)
    for person in range(PEOPLE):
        wanted[person, split.valid[person]] = 1
    assert choose_recency(lambda clients: wanted[clients], split).popular == 0


def test_the_choice_is_by_a_sample_of_people_whose_scores_are_asked_for_once() -> None:
    split, asked = fashion(ranks_met=False), []

    def score(clients: Int64Array) -> Float32Array:
        asked.append(clients.tolist())
        return nothing_known(clients)

    assert choose_recency(score, split, most=7).popular > 0
    assert [len(clients) for clients in asked] == [7]


def test_recency_without_times_or_with_weights_that_are_no_numbers_is_refused() -> None:
    with pytest.raises(BadInput, match="only a split at points of time tells"):
        choose_recency(nothing_known, replace(fashion(ranks_met=False), log=None))
    for popular, own in ((-0.1, 0.0), (math.nan, 0.0), (math.inf, 0.0), (0.0, math.inf)):
        with pytest.raises(BadInput, match="weights of recency"):
            RecencyTerms(popular=popular, own=own)
