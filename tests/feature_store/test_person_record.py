"""A person's record against an oracle that keeps every event for good and counts them from the first."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.event_weights import EventWeights
from feature_store.events import Event
from feature_store.history_limits import HistoryLimits
from feature_store.met import MetItems
from feature_store.person_record import PersonRecord, Signal, add, by_person, forget_before, met, new_token
from tests.feature_store.person_events import events_of

WEIGHTS = EventWeights()
MANY = HistoryLimits()
BATCHES = st.lists(st.lists(events_of(st.just("ada")), min_size=1, max_size=6), max_size=6)


def did(event: str, item_id: str, time: float, event_id: str | None = None, vertical: str | None = None) -> Event:
    return Event(event_id or f"{event} {item_id} {time}", "ada", item_id, event, time, None, vertical)


def recorded(*events: Event, limits: HistoryLimits = MANY, weights: EventWeights = WEIGHTS) -> PersonRecord:
    record, flags = add(None, events, limits, weights, token=1)
    assert all(flags)
    return record


def met_of(taken: Sequence[Event]) -> tuple[set[str], set[str]]:
    """By definition: an item is met whose weights after its last hide sum to more than 0, else disliked if hidden."""
    in_order = sorted(taken, key=lambda event: event.timestamp)
    wanted, disliked = set(), set()
    for item_id in {event.item_id for event in taken}:
        theirs = [event for event in in_order if event.item_id == item_id]
        hides = [place for place, event in enumerate(theirs) if event.event == "hide"]
        after = theirs[hides[-1] + 1 :] if hides else theirs
        if sum(WEIGHTS.of(event.vertical, event.event) for event in after) > 0:
            wanted.add(item_id)
        elif hides:
            disliked.add(item_id)
    return wanted, disliked


@given(BATCHES)
def test_each_event_id_is_new_once_and_the_history_is_by_time_then_arrival(batches: list[list[Event]]) -> None:
    record, taken = None, dict[str, Event]()
    for batch in batches:
        expected = []
        for event in batch:
            expected.append(event.event_id not in taken)
            taken.setdefault(event.event_id, event)
        record, flags = add(record, batch, MANY, WEIGHTS, new_token())
        assert flags == expected
        assert record.events == tuple(sorted(taken.values(), key=lambda event: event.timestamp))
        found = met(record, WEIGHTS)
        assert (set(found.item_ids), set(found.disliked)) == met_of(list(taken.values()))


@given(BATCHES, st.integers(1, 5))
def test_a_short_history_comes_to_the_same_as_all_the_events_it_ever_took(
    batches: list[list[Event]], most: int
) -> None:
    """Events carry ids of their own here, so that one that has gone and comes again is told by its time alone."""
    limits = HistoryLimits(events=most)
    record, taken = None, list[Event]()
    for number, batch in enumerate(batches):
        fresh = [Event(f"{number} {place}", *_rest(event)) for place, event in enumerate(batch)]
        floor = record.floor if record else None
        record, flags = add(record, fresh, limits, WEIGHTS, new_token())
        assert flags == [floor is None or event.timestamp > floor for event in fresh]
        taken += [event for event, new in zip(fresh, flags, strict=True) if new]
        in_order = sorted(taken, key=lambda event: event.timestamp)
        assert record.events == tuple(in_order[-most:])
        assert record.floor == (in_order[-most - 1].timestamp if len(taken) > most else None)
        found = met(record, WEIGHTS)
        assert (set(found.item_ids), set(found.disliked)) == met_of(taken)
        again, told = add(record, fresh, limits, WEIGHTS, new_token())
        assert again is record
        assert not any(told)


def _rest(event: Event) -> tuple[str, str, str, float, float | None, str | None]:
    return event.user_id, event.item_id, event.event, event.timestamp, event.value, event.vertical


def test_a_watermark_is_the_token_of_the_write_that_changed_something() -> None:
    record, _ = add(None, [did("view", "heat", 1.0)], MANY, WEIGHTS, token=7)
    assert record.watermark == record.history.watermark == met(record, WEIGHTS).watermark == 7
    assert add(record, [did("view", "heat", 1.0)], MANY, WEIGHTS, token=8)[0] is record
    assert add(record, [did("view", "heat", 2.0)], MANY, WEIGHTS, token=9)[0].watermark == 9
    assert len({new_token() for _ in range(100)} - {0}) == 100


def test_hiding_takes_back_what_came_before_it_by_its_time_and_not_by_its_arrival() -> None:
    record = recorded(did("hide", "heat", 5.0), did("view", "heat", 3.0), did("view", "casino", 1.0))
    assert met(record, WEIGHTS) == MetItems(("casino",), 1, ("heat",))
    record, _ = add(record, [did("purchase", "heat", 6.0)], MANY, WEIGHTS, token=2)
    assert met(record, WEIGHTS) == MetItems(("casino", "heat"), 2, ())


def test_what_was_merely_shown_is_neither_met_nor_disliked_and_leaves_nothing_behind() -> None:
    limits = HistoryLimits(events=1)
    record = recorded(*(did("impression", "heat", time) for time in range(3)), limits=limits)
    assert met(record, WEIGHTS) == MetItems((), 1, ())
    assert record.signals == {}
    assert met(recorded(did("impression", "heat", 1.0), did("hide", "heat", 0.0)), WEIGHTS).disliked == ("heat",)


def test_the_weights_of_a_store_decide_what_is_met() -> None:
    deaf = EventWeights({"news": {"view": 0.0}})
    events = [did("view", "a", 1.0, vertical="news"), did("view", "b", 1.0), did("meh", "c", 1.0)]
    assert met(recorded(*events), deaf).item_ids == ("b", "c")
    assert met(recorded(*events), EventWeights(hiding=frozenset({"meh"}))) == MetItems(("a", "b"), 1, ("c",))


def test_what_goes_is_summed_by_item_and_the_items_of_the_oldest_last_event_go_first() -> None:
    limits = HistoryLimits(events=1, items=2)
    record = recorded(
        did("view", "a", 1.0),
        did("purchase", "b", 2.0, vertical="e-commerce"),
        did("view", "b", 3.0),
        did("hide", "c", 4.0),
        did("view", "d", 5.0),
        limits=limits,
    )
    assert record.signals == {"b": Signal(6.0, 3.0, hidden=False), "c": Signal(0.0, 4.0, hidden=True)}
    assert record.floor == 4.0
    assert met(record, WEIGHTS) == MetItems(("b", "d"), 1, ("c",))


def test_a_window_counts_what_was_done_in_it_alone() -> None:
    limits = HistoryLimits(events=2)
    old, late = [did("view", "a", 1.0), did("view", "b", 3.0)], [did("hide", "c", 4.0), did("view", "d", 9.0)]
    record = recorded(*old, *late, limits=limits)
    assert met(record, WEIGHTS, since=3.0) == MetItems(("b", "d"), 1, ("c",))
    assert met(record, WEIGHTS, since=4.5) == MetItems(("d",), 1, ())
    assert met(record, WEIGHTS, since=9.5) == MetItems((), 1, ())


@given(BATCHES, st.integers(1, 5), st.sampled_from([0.0, 1.5, 3.0, 4.5, 11.0]))
def test_what_is_forgotten_by_age_is_gone_and_cannot_come_back(
    batches: list[list[Event]], most: int, time: float
) -> None:
    record: PersonRecord | None = None
    for batch in batches:
        record, _ = add(record, batch, HistoryLimits(events=most), WEIGHTS, new_token())
    if record is None:
        return
    after = forget_before(record, time, token=5)
    assert after.events == tuple(event for event in record.events if event.timestamp >= time)
    assert after.signals == {item: signal for item, signal in record.signals.items() if signal.last >= time}
    gone = [event for event in record.events if event.timestamp < time]
    if not gone and after.signals == record.signals:
        assert after is record
        return
    assert after.watermark == 5
    assert after.is_empty == (not after.events and not after.signals)
    assert not gone or not any(add(after, gone, HistoryLimits(events=most), WEIGHTS, 6)[1])


def test_events_of_several_people_are_told_apart_in_their_order_and_never_added_together() -> None:
    events = [Event("e1", user_id, "heat", "view", 1.0) for user_id in ("bob", "ada", "bob")]
    assert by_person(events) == {"bob": [0, 2], "ada": [1]}
    for record, wrong in ((None, events), (recorded(did("view", "a", 1.0)), events[:1]), (None, [])):
        with pytest.raises(BadInput, match="of one person"):
            add(record, wrong, MANY, WEIGHTS, 1)


@pytest.mark.parametrize(
    "limits",
    [{"events": 0}, {"items": -1}, {"future_seconds": -1.0}, {"future_seconds": float("nan")}],
)
def test_limits_that_are_none_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="a history takes at least 1 event"):
        HistoryLimits(**limits)  # type: ignore[arg-type]  # events and items are whole numbers, future_seconds is none


def test_an_event_of_the_future_is_refused_naming_both_times() -> None:
    limits = HistoryLimits(future_seconds=10.0)
    limits.require_past([did("view", "a", 110.0)], now=100.0)
    limits.require_past([], now=100.0)
    with pytest.raises(
        BadInput, match=r"time 110\.5 lies more than 10 s ahead of this store's clock, which has 100\.0"
    ):
        limits.require_past([did("view", "a", 1.0), did("view", "a", 110.5)], now=100.0)
