"""Events: what a person did with an item, and the history they add up to."""

import math
import sys
from dataclasses import dataclass

from feature_store.errors import BadInput

LATEST_TIMESTAMP = 1e11  # the year 5138; what is later was meant as milliseconds
_LARGEST_VALUE = sys.float_info.max
LONGEST_ID = 256  # characters; an id is a key in stores and logs of size, not a document


@dataclass(frozen=True, slots=True)
class Event:
    """One thing one person did.

    event_id: unique for the person; the same id sent again changes nothing.
    event: what was done, such as view, click, purchase, rating.
    timestamp: when, in seconds since 1970 (UTC).
    value: how much, where that has a meaning: stars, seconds, pieces.
    vertical: whose item it is, such as e-commerce or news, where that is said; it decides what the event weighs.
    """

    event_id: str
    user_id: str
    item_id: str
    event: str
    timestamp: float
    value: float | None = None
    vertical: str | None = None

    def __post_init__(self) -> None:
        require_id("event_id of an event", self.event_id)
        require_id("user_id of an event", self.user_id)
        require_id("item_id of an event", self.item_id)
        require_id("event of an event", self.event)
        if self.vertical is not None:
            require_id("vertical of an event", self.vertical)
        if not 0 <= self.timestamp < LATEST_TIMESTAMP:
            raise BadInput(f"timestamp of an event is seconds (not milliseconds) since 1970; got {self.timestamp}")
        if self.value is not None and not -_LARGEST_VALUE <= self.value <= _LARGEST_VALUE:  # NaN is not either
            raise BadInput(f"value of an event is a finite number; got {self.value}")


def require_id(name: str, text: str) -> None:
    """Raise `BadInput` for text that cannot be an id in every store; `name` says whose it is."""
    if not 0 < len(text) <= LONGEST_ID:
        raise BadInput(f"{name} has 1 to {LONGEST_ID} characters; got {len(text)}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # JSON can carry half of a surrogate pair; no store can write it
            raise BadInput(f"{name} is text that UTF-8 can write; got half of a surrogate pair") from None


def require_time(name: str, time: float) -> None:
    """Raise `BadInput` for what is no time: compared with NaN, everything would be older."""
    if not math.isfinite(time):
        raise BadInput(f"{name} is a finite number of seconds since 1970; got {time}")


@dataclass(frozen=True, slots=True)
class History:
    """The events of one person that are kept one by one; of older ones a store keeps what they came to, by item.

    events: by time, and by arrival where the times are equal.
    watermark: 0 without events; another number after each change of the history, and the same without one.
    """

    events: tuple[Event, ...] = ()
    watermark: int = 0

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The items of the events, in their order, repeats included."""
        return tuple(event.item_id for event in self.events)
