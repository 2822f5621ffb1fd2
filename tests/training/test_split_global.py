"""Splits at points of time, against the slow and clear way, under both rules for repeats."""

import math
from collections.abc import Collection
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.vocabulary import ItemVocabulary
from training.interactions import Interactions
from training.split import OutOfReach, Split, digest
from training.split_global import Cuts, cuts_by_share, split_by_date

Line = tuple[int, int, float]  # user, item, timestamp
USERS, ITEMS = 4, 6


def interactions_of(lines: list[Line]) -> Interactions:
    user, item, time = zip(*lines, strict=True) if lines else ((), (), ())
    return Interactions(
        vocabulary=ItemVocabulary(f"i{n}" for n in range(ITEMS)),
        user_ids=tuple(f"u{n}" for n in range(USERS)),
        event_names=("purchase",),
        users=np.array(user, dtype=np.int32),
        items=np.array(item, dtype=np.int32),
        events=np.zeros(len(lines), dtype=np.int32),
        timestamps=np.array(time, dtype=np.float64),
        values=np.full(len(lines), np.nan, dtype=np.float32),
    )


def parts_of(split: Split) -> list[tuple[list[int], list[int], list[int]]]:
    return [(split.train[u].tolist(), split.valid[u].tolist(), split.test[u].tolist()) for u in range(USERS)]


def distinct(items: list[int], without: Collection[int] = ()) -> list[int]:
    return [item for item in dict.fromkeys(items) if item not in without]


some_lines = st.lists(
    st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), st.integers(0, 9).map(float)), max_size=60
)


@given(
    lines=some_lines,
    early=st.integers(0, 9),
    late=st.integers(0, 11),
    repeats=st.sampled_from(["new", "repeat"]),
)
def test_each_part_holds_what_was_met_in_its_time_and_could_be_known(
    lines: list[Line], early: int, late: int, repeats: Literal["new", "repeat"]
) -> None:
    cuts = Cuts(0.5 + early, 0.5 + max(early, late))
    lines = [(0, 0, 0.0), *lines]
    split = split_by_date(interactions_of(lines), cuts, repeats)
    by_time = sorted(lines, key=lambda line: line[2])
    windows = [
        [line for line in by_time if line[2] < cuts.valid_from],
        [line for line in by_time if cuts.valid_from <= line[2] < cuts.test_from],
        [line for line in by_time if line[2] >= cuts.test_from],
    ]
    known_people = {user for user, _, _ in windows[0]}
    known_items = {item for _, item, _ in windows[0]}
    expected, asked, counted = [], 0, 0
    for user in range(USERS):
        train, valid, test = ([item for who, item, _ in window if who == user] for window in windows)
        if repeats == "new":
            parts = [distinct(train), distinct(valid, set(train)), distinct(test, {*train, *valid})]
        else:
            parts = [distinct(train), distinct(valid), distinct(test)]
        counted += sum(map(len, parts))
        asked += len(parts[1]) + len(parts[2])
        reachable = known_items if user in known_people else set()
        expected.append((parts[0], *([item for item in part if item in reachable] for part in parts[1:])))
    assert parts_of(split) == expected
    targets = sum(len(valid) + len(test) for _, valid, test in expected)
    assert split.out_of_reach == OutOfReach(
        people=len({user for user, _, _ in lines} - known_people),
        items=len({item for _, item, _ in lines} - known_items),
        targets=asked - targets,
        asked=asked,
    )
    assert split.repeats == len(lines) - counted
    assert split.ranks_met == (repeats == "repeat")
    assert split.log is not None
    assert sorted(zip(split.log.clients, split.log.items, split.log.ages, strict=True)) == sorted(
        (user, item, cuts.valid_from - time) for user, item, time in windows[0]
    )


def test_what_valid_has_chosen_is_trained_on_all_that_came_before_the_test() -> None:
    lines = [(0, 1, 1.0), (1, 2, 1.0), (0, 2, 3.0), (2, 3, 3.0), (0, 3, 5.0), (1, 3, 5.0), (2, 1, 5.0)]
    split = split_by_date(interactions_of(lines), Cuts(2.0, 4.0))
    assert parts_of(split)[:3] == [([1], [2], []), ([2], [], []), ([], [], [])]  # item 3 and person 2 came later
    final = split.judged
    assert parts_of(final)[:3] == [([1, 2], [], [3]), ([2], [], [3]), ([3], [], [1])]
    assert final.log is not None
    assert final.log.ages.tolist() == [3.0, 3.0, 1.0, 1.0]
    assert final.judged is final
    assert (split.out_of_reach.targets, final.out_of_reach.targets) == (4, 0)


BOUGHT_AGAIN = [(0, 1, 1.0), (0, 2, 2.0), (0, 1, 3.0), (0, 1, 5.0), (0, 2, 6.0)]


def test_an_item_bought_again_is_a_target_under_one_rule_and_left_out_of_the_ranking_under_the_other() -> None:
    interactions, cuts = interactions_of(BOUGHT_AGAIN), Cuts(4.0, 6.0)
    new, repeat = (split_by_date(interactions, cuts, rule) for rule in ("new", "repeat"))
    assert parts_of(new)[0] == ([1, 2], [], [])
    assert parts_of(repeat)[0] == ([1, 2], [1], [2])
    assert new.met_before_valid == (new.train,)
    assert new.met_before_test == (new.train, new.valid)
    assert repeat.met_before_valid == repeat.met_before_test == ()


def test_the_rule_for_repeats_is_part_of_the_identity_of_a_split() -> None:
    interactions, cuts = interactions_of([(0, 1, 1.0), (0, 2, 2.0), (0, 3, 5.0)]), Cuts(4.0, 6.0)
    new, repeat = (split_by_date(interactions, cuts, rule) for rule in ("new", "repeat"))
    assert parts_of(new) == parts_of(repeat)
    assert digest(new) != digest(repeat)


@given(
    times=st.lists(st.integers(0, 20).map(float), min_size=1, max_size=40),
    valid=st.integers(0, 40),
    test=st.integers(0, 40),
)
def test_the_cuts_leave_at_least_their_shares_to_what_comes_later(times: list[float], valid: int, test: int) -> None:
    cuts = cuts_by_share(interactions_of([(0, 0, time) for time in times]), valid / 100, test / 100)
    assert cuts.valid_from <= cuts.test_from
    for cut, share in ((cuts.valid_from, valid + test), (cuts.test_from, test)):
        later = sum(time >= cut for time in times)
        later_than_equal = sum(time > cut for time in times)
        assert later * 100 >= share * len(times)
        assert later_than_equal * 100 <= share * len(times) + 100  # it is the latest such time


def test_the_default_cuts_are_after_seven_and_eight_tenths() -> None:
    assert cuts_by_share(interactions_of([(0, 0, float(time)) for time in range(10)])) == (7.0, 8.0)


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.1, 1.0), (math.nan, 0.2)])
def test_shares_that_leave_nothing_to_train_on_are_refused(valid: float, test: float) -> None:
    with pytest.raises(BadInput, match="together below 1"):
        cuts_by_share(interactions_of([(0, 0, 1.0)]), valid, test)


def test_cuts_in_the_wrong_order_or_before_everything_are_refused() -> None:
    interactions = interactions_of([(0, 0, 5.0)])
    with pytest.raises(BadInput, match=r"valid begins before test does; got 4\.0 and 3\.0"):
        split_by_date(interactions, Cuts(4.0, 3.0))
    with pytest.raises(BadInput, match="nothing to train on"):
        split_by_date(interactions, Cuts(5.0, 6.0))
    with pytest.raises(BadInput, match="1 of these 1 have none"):
        split_by_date(interactions_of([(0, 0, math.nan)]), Cuts(5.0, 6.0))
    with pytest.raises(BadInput, match="no interactions to split"):
        cuts_by_share(interactions_of([]))
