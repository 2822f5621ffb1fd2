"""How much of a person's history is kept, and how far a clock may go wrong."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from feature_store.errors import BadInput
from feature_store.events import Event


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """The limits of one store, the same for everybody.

    events: how many events are kept one by one, at least 1; of older ones is kept what they came to, by item.
    items: of how many items that is kept, at least 0; those go first whose last event is the oldest.
    future_seconds: how far beyond the store's clock an event may lie; no less than 0.
    """

    events: int = 500
    items: int = 2000
    future_seconds: float = 86_400.0

    def __post_init__(self) -> None:
        if self.events < 1 or self.items < 0 or not 0 <= self.future_seconds < math.inf:
            raise BadInput(
                f"a history takes at least 1 event, at least 0 items and a finite number of seconds >= 0; got "
                f"events={self.events}, items={self.items}, future_seconds={self.future_seconds}"
            )

    def require_past(self, events: Iterable[Event], now: float) -> None:
        """Raise `BadInput`, naming both times, for an event that lies in the future; now: seconds since 1970."""
        latest = max((event.timestamp for event in events), default=0.0)
        if self.lies_ahead(latest, now):
            raise BadInput(
                f"an event of time {latest} lies more than {self.future_seconds:g} s ahead of this store's clock, "
                f"which has {now}; one of the two clocks is wrong"
            )

    def lies_ahead(self, timestamp: float, now: float) -> bool:
        """Whether a time is further ahead of `now` than clocks may differ."""
        return timestamp > now + self.future_seconds
