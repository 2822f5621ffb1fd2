"""An event is checked when it is made."""

import math
from dataclasses import replace
from typing import Any

import pytest

from feature_store.errors import BadInput
from feature_store.events import LONGEST_ID, Event, History

GOOD = Event("e1", "ada", "heat", "view", 1.0)
TEXTS = ("event_id", "user_id", "item_id", "event", "vertical")


def with_text(name: str, text: str) -> Event:
    changes: dict[str, Any] = {name: text}
    return replace(GOOD, **changes)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("text", ["", "x" * (LONGEST_ID + 1)])
def test_text_that_is_empty_or_too_long_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(BadInput, match=f"^{name} of an event has 1 to {LONGEST_ID} characters; got {len(text)}$"):
        with_text(name, text)


@pytest.mark.parametrize("name", TEXTS)
def test_text_that_cannot_be_written_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadInput, match=f"^{name} of an event is text that UTF-8 can write"):
        with_text(name, "half \ud83d")


def test_the_longest_id_is_still_one() -> None:
    assert replace(GOOD, event_id="é" * LONGEST_ID, timestamp=0.0).event_id == "é" * LONGEST_ID


@pytest.mark.parametrize("timestamp", [-1.0, math.nan, math.inf, 1511544070000.0])
def test_a_time_that_is_none_is_refused(timestamp: float) -> None:
    with pytest.raises(BadInput, match="not milliseconds"):
        replace(GOOD, timestamp=timestamp)


@pytest.mark.parametrize("value", [math.nan, -math.inf, 10**400])
def test_a_value_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(BadInput, match="value of an event is a finite number"):
        replace(GOOD, value=value)


def test_the_items_of_a_history_are_in_its_order_with_repeats() -> None:
    events = tuple(Event(str(n), "ada", item_id, "view", n) for n, item_id in enumerate("bab"))
    assert History(events, 3).item_ids == ("b", "a", "b")
