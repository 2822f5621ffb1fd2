"""Splits of several verticals as one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.row_ranges import require_partition
from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories
from training.split import OutOfReach, Split
from training.split_log import MeetingLog
from training.verticals import joined

PARTS = ("train", "valid", "test")
people = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


def a_split(prefix: str, user_ids: list[str], seed: int, items: int = 7) -> Split:
    """Everybody's items in a random order, cut into the three parts at random places."""
    rng = np.random.default_rng(seed)
    cut = [np.split(rng.permutation(items)[:6], np.sort(rng.integers(0, 7, 2))) for _ in user_ids]
    return Split(
        ItemVocabulary(f"{prefix}{row}" for row in range(items)),
        tuple(user_ids),
        **{name: Histories.of(parts[n] for parts in cut) for n, name in enumerate(PARTS)},
    )


def by_names(split: Split, part: str) -> set[tuple[str, str]]:
    """(user id, item id) of a part."""
    pairs = [
        (user_id, split.vocabulary.item_ids[row])
        for user_id, rows in zip(split.user_ids, getattr(split, part), strict=True)
        for row in rows
    ]
    assert len(set(pairs)) == len(pairs)
    return set(pairs)


@given(people, people, st.integers(0, 99))
def test_a_joined_split_says_of_each_person_what_the_splits_say(
    readers: list[str], buyers: list[str], seed: int
) -> None:
    splits = {"news": a_split("n", readers, seed), "shop": a_split("s", buyers, seed + 1)}

    split, catalogues = joined(splits)

    assert sorted(split.user_ids) == sorted({*readers, *buyers})
    for part in PARTS:
        assert by_names(split, part) == by_names(splits["news"], part) | by_names(splits["shop"], part)
    require_partition(catalogues, len(split.vocabulary))
    for vertical, ((start, stop),) in catalogues.items():
        assert split.vocabulary.item_ids[start:stop] == splits[vertical].vocabulary.item_ids


def test_logs_and_what_was_left_out_are_joined_too() -> None:
    news, shop = a_split("n", ["a", "b"], 1), a_split("s", ["b", "c"], 2)
    log = MeetingLog(np.array([0, 1], np.int32), np.array([3, 4], np.int32), np.array([5.0, 6.0]))
    news = replace(news, log=log, repeats=2, out_of_reach=OutOfReach(people=1, items=2, targets=3, asked=9))
    shop = replace(shop, log=log, repeats=3, out_of_reach=OutOfReach(asked=1))

    split = joined({"news": news, "shop": shop}).split

    assert split.log is not None
    assert [split.user_ids[client] for client in split.log.clients] == ["a", "b", "b", "c"]
    assert [split.vocabulary.item_ids[row] for row in split.log.items] == ["n3", "n4", "s3", "s4"]
    assert split.log.ages.tolist() == [5, 6, 5, 6]
    assert (split.repeats, split.out_of_reach) == (5, OutOfReach(people=1, items=2, targets=3, asked=10))
    assert joined({"news": news, "shop": replace(shop, log=None)}).split.log is None


def test_an_item_of_two_verticals_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="item 'n0' stands in the verticals news and shop"):
        joined({"news": a_split("n", ["a"], 1), "shop": a_split("n", ["b"], 2)})


def test_verticals_of_two_rules_and_none_at_all_are_refused() -> None:
    news, shop = a_split("n", ["a"], 1), replace(a_split("s", ["a"], 2), ranks_met=True)
    with pytest.raises(BadInput, match="of the verticals news, shop some rank items met before"):
        joined({"news": news, "shop": shop})
    with pytest.raises(BadInput, match="no vertical"):
        joined({})
