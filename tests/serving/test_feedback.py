"""Feedback: counts of items that forget, and know nobody."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.events import Event
from serving.feedback import Feedback, FeedbackByTenant
from tests.serving.stocked import NOW

HOUR = 3600.0


def event(item_id: str, kind: str, user_id: str = "anna", vertical: str | None = "news") -> Event:
    return Event(f"{user_id}-{item_id}-{kind}", user_id, item_id, kind, NOW, vertical=vertical)


def counted(feedback: Feedback, item_id: str, now: float = NOW) -> tuple[float, float]:
    shows, clicks = feedback.counts([item_id], now)
    return float(shows[0]), float(clicks[0])


def test_impressions_are_shows_and_what_weighs_something_is_a_click() -> None:
    feedback = Feedback()
    kinds = ["impression", "impression", "click", "hide"]
    feedback.take([event("a", kind, f"person-{n}") for n, kind in enumerate(kinds)], NOW)
    feedback.take([event("b", "impression"), event("b", "conversion", vertical="ads")], NOW)
    assert counted(feedback, "a") == (2.0, 1.0)
    assert counted(feedback, "b") == (1.0, 1.0)
    assert counted(feedback, "never heard of") == (0.0, 0.0)


def test_a_click_without_an_impression_was_shown_too() -> None:
    feedback = Feedback()
    feedback.take([event("a", "click", "anna"), event("a", "click", "bert")], NOW)
    assert counted(feedback, "a") == (2.0, 2.0)


def test_view_and_dwell_and_share_of_one_person_sent_together_are_one_click() -> None:
    feedback = Feedback()
    feedback.take([event("a", kind, user) for kind in ("view", "dwell", "share") for user in ("anna", "bert")], NOW)
    assert counted(feedback, "a")[1] == 2.0


@given(st.lists(st.tuples(st.floats(0, 50), st.sampled_from(["impression", "click"])), max_size=30), st.floats(50, 99))
def test_each_event_counts_half_after_each_half_life(told: list[tuple[float, str]], hours: float) -> None:
    feedback = Feedback(half_life_seconds=7 * HOUR)
    for at, kind in sorted(told):
        feedback.take([event("a", kind)], NOW + at * HOUR)
    parts = {
        kind: math.fsum(0.5 ** ((hours - at) / 7) for at, other in told if other == kind)
        for kind in ("impression", "click")
    }
    shows, clicks = counted(feedback, "a", NOW + hours * HOUR)
    assert clicks == pytest.approx(parts["click"])
    assert shows == pytest.approx(max(parts.values()))


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    feedback = Feedback(half_life_seconds=HOUR)
    feedback.take([event("a", "impression")], NOW)
    assert counted(feedback, "a", NOW - HOUR) == (1.0, 0.0)


def test_of_too_many_items_those_longest_silent_are_forgotten() -> None:
    feedback = Feedback(most=3)
    for item_id in ("a", "b", "c", "a", "d"):
        feedback.take([event(item_id, "impression")], NOW)
    assert len(feedback) == 3
    assert [counted(feedback, item_id)[0] for item_id in "abcd"] == [2.0, 0.0, 1.0, 1.0]


def test_each_tenant_has_counts_of_its_own_that_are_as_long_and_as_many() -> None:
    by_tenant = FeedbackByTenant(half_life_seconds=HOUR, most=1)
    by_tenant.of("shop").take([event("a", "click"), event("b", "click")], NOW)
    by_tenant.of(None).take([event("a", "impression")], NOW)
    later = {tenant: counted(by_tenant.of(tenant), "a", NOW + HOUR) for tenant in ("shop", None, "forum")}
    assert sum(counted(by_tenant.of("shop"), item_id, NOW + HOUR)[1] for item_id in "ab") == 0.5
    assert (later[None], later["forum"]) == ((0.5, 0.0), (0.0, 0.0))


@pytest.mark.parametrize(("half_life", "most"), [(0.0, 1), (math.nan, 1), (1.0, 0)])
def test_what_cannot_be_counted_with_is_refused(half_life: float, most: int) -> None:
    with pytest.raises(BadInput, match="halves"):
        Feedback(half_life, most)


class Catalogue:
    """Items by place, to which more come."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    def item_id(self, place: int) -> str:
        return self.names[place]

    def place(self, item_id: str) -> int | None:
        return self.names.index(item_id) if item_id in self.names else None


@given(st.lists(st.tuples(st.sampled_from(["told", "came", "asked"]), st.integers(0, 9)), max_size=60))
def test_by_place_the_same_is_counted_whatever_is_told_and_comes_in_whatever_order(
    steps: list[tuple[str, int]],
) -> None:
    feedback, catalogues = Feedback(most=4), [Catalogue(), Catalogue()]
    for what, number in [*steps, ("asked", 0), ("asked", 1)]:
        items = catalogues[number % 2]
        if what == "told":
            feedback.take([event(f"item-{number}", "click"), event(f"item-{number}", "impression")], NOW)
        elif what == "came" and f"item-{number}" not in items.names:
            items.names.append(f"item-{number}")
        else:
            places = np.arange(len(items), dtype=np.int32)[::-1]
            by_place = feedback.counts_at(items, places, NOW + HOUR)
            by_name = feedback.counts([items.names[place] for place in places], NOW + HOUR)
            assert [part.tolist() for part in by_place] == [part.tolist() for part in by_name]


def test_by_place_nothing_is_missed_when_more_items_were_told_of_than_are_kept() -> None:
    feedback, items = Feedback(most=2), Catalogue()
    items.names = [f"item-{number}" for number in range(12)]
    everywhere = np.arange(12, dtype=np.int32)
    for number in range(12):
        feedback.take([event(f"item-{number}", "click")], NOW)
        last = [float(number - place in {0, 1}) for place in range(12)]
        assert feedback.counts_at(items, everywhere, NOW).clicks.tolist() == last
        later = Catalogue()
        later.names = items.names
        assert feedback.counts_at(later, everywhere, NOW).clicks.tolist() == last


def test_what_one_takes_it_tells_and_what_it_hears_counts_the_same() -> None:
    told: list[tuple[str | None, str, float, float]] = []
    one, other = FeedbackByTenant(tell=lambda *counts: told.append(counts)), FeedbackByTenant()
    events = [
        *(Event(f"{number}", "anna", "tea", "click", NOW, vertical="news") for number in range(2)),
        event("tea", "impression", "bert"),
        event("milk", "hide", "bert"),
    ]
    one.of("shop").take(events, NOW)
    one.of(None).take(events[:1], NOW)
    assert sorted(told, key=str) == [("shop", "tea", 0.0, 1.0), ("shop", "tea", 1.0, 0.0), (None, "tea", 0.0, 1.0)]
    for tenant, item_id, shows, clicks in told:
        other.of(tenant).hear(item_id, shows, clicks, NOW)
    assert len(told) == 3
    for tenant in ("shop", None):
        for item_id in ("tea", "milk"):
            assert counted(one.of(tenant), item_id) == counted(other.of(tenant), item_id)
