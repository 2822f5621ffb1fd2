"""Updates given: each reserved before it leaves, in one sum, and never forgotten."""

import json
from pathlib import Path

import pytest

from training.federation.errors import Refused
from training.federation.given_updates import GivenUpdates

THREE = ("a", "b", "c")


def test_an_update_that_was_not_reserved_is_not_signed_for(tmp_path: Path) -> None:
    given = GivenUpdates(tmp_path / "given.json")
    with pytest.raises(Refused, match="reserved before its masked sums leave"):
        given.give("one", THREE)
    given.reserve("one", THREE)
    with pytest.raises(Refused, match="reserved before its masked sums leave"):
        given.give("other", THREE)
    given.give("one", THREE)


def test_a_reserved_update_may_be_tried_with_others_and_a_given_one_only_where_all_of_its_sum_can_be(
    tmp_path: Path,
) -> None:
    given = GivenUpdates(tmp_path / "given.json")
    given.reserve("one", ("a", "b", "d"))
    given.reserve("one", THREE)
    given.give("one", ("a", "b"))
    given.reserve("one", THREE)  # the same sum may come of it
    with pytest.raises(Refused, match=r"in that over a, b; asked for is one over a, c, d"):
        given.reserve("one", ("a", "c", "d"))
    with pytest.raises(Refused, match=r"in that over a, b; asked for is one over a, b, c"):
        given.give("one", THREE)


def test_a_list_of_before_updates_were_reserved_holds(tmp_path: Path) -> None:
    (tmp_path / "given.json").write_text(json.dumps({"one": ["a", "b"]}))
    given = GivenUpdates(tmp_path / "given.json")
    given.reserve("one", THREE)
    with pytest.raises(Refused, match="an update goes into one sum"):
        given.give("one", THREE)


def test_nothing_is_forgotten_for_what_comes_later_and_a_full_list_gives_nothing_new(tmp_path: Path) -> None:
    given = GivenUpdates(tmp_path / "given.json", most=3)
    for number in range(3):
        given.reserve(f"update {number}", THREE)
        given.give(f"update {number}", THREE)
    with pytest.raises(Refused, match="has given 3 updates and keeps 3: to forget one would let it into a second sum"):
        given.reserve("update 3", THREE)
    with pytest.raises(Refused, match="an update goes into one sum"):
        given.give("update 0", ("a", "b"))
    given.reserve("update 0", THREE)
    given.give("update 0", THREE)


def test_what_is_signed_for_is_reserved_no_more_and_what_is_not_stays(tmp_path: Path) -> None:
    given = GivenUpdates(tmp_path / "given.json")
    given.reserve("late", THREE)
    for number in range(4):
        given.reserve(f"update {number}", THREE)
        given.give(f"update {number}", THREE)
    given.reserve("last", THREE)
    assert set(json.loads((tmp_path / "reserved-updates.json").read_bytes())) == {"late", "last"}
