"""The peers that know the time, against counts by hand, and the recency that is added to a peer."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.peers import Peer, as_matrix, judge, of_matrix, popularity
from benchmarks.temporal_peers import judge_with_recency, temporal_peers
from feature_store.errors import BadInput
from tests.benchmarks.tastes import two_tastes
from tests.training.test_recency import ITEMS, PEOPLE, fashion, nothing_known
from training.evaluation import evaluate
from training.histories import Histories
from training.recency import RecencyTerms, with_recency
from training.split import Split
from training.split_log import DAY, MeetingLog


def with_test(split: Split) -> Split:
    """What validates is what is tested, and not met before the test: the right answer of the peers is known."""
    return replace(split, test=split.valid, ranks_met=True)


def test_recent_popularity_ranks_what_was_met_most_with_each_meeting_halved_by_age() -> None:
    split = fashion(ranks_met=False)
    (recent,) = temporal_peers(split)
    assert recent.name == "recent popularity"
    assert split.log is not None
    for settings in recent.grid:
        expected = np.zeros(ITEMS)
        for item, age in zip(split.log.items, split.log.ages, strict=True):
            expected[item] += 0.5 ** (age / (settings["days"] * DAY))
        scores = recent.fit(split, settings, 1)(np.array([3, 0]))
        np.testing.assert_allclose(scores, [expected, expected], rtol=1e-4, atol=1e-30)


def test_own_history_is_a_peer_where_met_items_are_ranked_and_finds_what_people_come_back_to() -> None:
    split = with_test(fashion(ranks_met=True))
    by_name = {peer.name: peer for peer in temporal_peers(split)}
    assert by_name.keys() == {"recent popularity", "own history"}
    result = judge(by_name["own history"], split, [1])
    assert result.qualities[0].ndcg == 1
    assert judge(by_name["recent popularity"], split, [1]).qualities[0].ndcg < 0.9


def test_an_item_of_ones_own_comes_before_the_most_popular_one_that_is_not() -> None:
    split = fashion(ranks_met=True)
    own = next(peer for peer in temporal_peers(split) if peer.name == "own history")
    scores = own.fit(split, {"days": 365.0}, 1)(np.arange(PEOPLE))
    for person in range(PEOPLE):
        met = np.isin(np.arange(ITEMS), split.train[person])
        assert scores[person, met].min() > scores[person, ~met].max()


def test_a_peer_is_given_the_terms_that_are_best_for_it_on_valid() -> None:
    split = with_test(fashion(ranks_met=True))
    peer = Peer("popularity", [{}], of_matrix(popularity))
    plain = judge(peer, split, [1, 2])
    result = judge_with_recency(peer, plain, split, [1, 2])
    terms = RecencyTerms(**result.settings)
    assert terms.own > 0
    assert result.name == "popularity + recency"
    assert split.log is not None
    score = with_recency(popularity(as_matrix(split.train, ITEMS), {}, 1), split.log, ITEMS, terms)
    expected = evaluate(score, ITEMS, split.test, [])
    assert result.qualities == (expected, expected)
    assert expected.ndcg > plain.qualities[0].ndcg


def test_a_peer_is_tuned_on_valid_and_then_fitted_to_what_came_before_the_test() -> None:
    """What is met lately changes from fashion to fashion: only the log of the final split has the last one."""
    split = fashion(ranks_met=False)
    assert split.log is not None
    lately = MeetingLog(split.log.clients, split.log.items, np.where(split.log.items < 20, DAY, 200 * DAY))
    missing = Histories.of([[0]] * PEOPLE)
    final = replace(
        split, log=lately, train=Histories.of([[20]] * PEOPLE), valid=Histories.of([()] * PEOPLE), test=missing
    )
    (recent,) = temporal_peers(split)
    result = judge(recent, replace(split, final=final), [1])
    assert result.settings["days"] < 30  # valid is of the recent items
    assert result.qualities[0].recall == 1  # of 0..19, all met equally, 20 are recommended
    with_it = judge_with_recency(
        Peer("nothing", [{}], lambda *_: nothing_known), result, replace(split, final=final), [1]
    )
    assert with_it.qualities[0].recall == 1


def test_a_split_that_knows_no_times_has_no_such_peers() -> None:
    with pytest.raises(BadInput, match="only a split at points of time tells"):
        temporal_peers(two_tastes())
