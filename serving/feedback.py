"""Feedback: how often each item was shown and clicked lately, whoever it was that saw it, by tenant.

Counts are halved with time, so that an item which nobody clicks any more loses its old clicks. They are of items alone:
nothing in here says who clicked. They are kept in memory, by each server for itself, and are gone with it; the workers
of one server tell each other what they count.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from feature_store.arrays import BoolArray, Float64Array, Int32Array
from feature_store.errors import BadInput
from feature_store.event_weights import EventWeights
from feature_store.events import Event

HALF_LIFE_SECONDS = 86_400.0
MOST_ITEMS = 100_000  # about 25 MB

_WEIGHTS = EventWeights()
_SHOWN = "impression"


def _nobody(item_id: str, shows: float, clicks: float) -> None:
    """A server that is one process tells nobody."""


class Counts(NamedTuple):
    """Of some items, in their order, shape (n,) each.

    shows: impressions. A click of which no impression was told is one, too, so that shows are never fewer than clicks.
    clicks: events that say interest.
    """

    shows: Float64Array
    clicks: Float64Array


class _Count(NamedTuple):
    shows: float
    clicks: float
    at: float


class Places(Protocol):
    """Items by their places, as an assortment has them: a place is of one item for ever, and there come more."""

    def __len__(self) -> int: ...

    def item_id(self, place: int) -> str:
        """The item at that place."""
        ...

    def place(self, item_id: str) -> int | None:
        """Where the item is, if anywhere."""
        ...


class _Told:
    """Which places something was told of, perhaps longer ago than counts are kept.

    mask: shape (places,).
    read: how much of the news is in it.
    """

    def __init__(self) -> None:
        self.mask: BoolArray = np.zeros(0, np.bool_)
        self.read = 0


class Feedback:
    """Counts that forget.

    half_life_seconds: after which what was counted counts half.
    most: items; where there are more, those of which nothing was heard for longest are forgotten.
    tell: called with the item, shows and clicks of all that is taken.
    """

    def __init__(
        self,
        half_life_seconds: float = HALF_LIFE_SECONDS,
        most: int = MOST_ITEMS,
        tell: Callable[[str, float, float], None] = _nobody,
    ) -> None:
        if not half_life_seconds > 0 or most < 1:
            raise BadInput(f"feedback halves in some time, of some items; got {half_life_seconds} s, {most} items")
        self._half_life, self._most, self._tell = half_life_seconds, most, tell
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._news: list[str] = []  # items in the order in which they came into the counts
        self._told: WeakKeyDictionary[Places, _Told] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._counts)

    def take(self, events: Iterable[Event], now: float) -> None:
        """Count some events that were just stored; several clicks of one person on one item among them are one.

        now: seconds since 1970.
        """
        clicked = set()
        for event in events:
            if event.event == _SHOWN:
                self._take(event.item_id, 1.0, 0.0, now)
            elif event.event not in _WEIGHTS.hiding and _WEIGHTS.of(event.vertical, event.event) > 0:
                clicked.add((event.user_id, event.item_id))
        for _, item_id in clicked:
            self._take(item_id, 0.0, 1.0, now)

    def hear(self, item_id: str, shows: float, clicks: float, now: float) -> None:
        """Count what another process of this server has taken."""
        self._add(item_id, shows, clicks, now)

    def _take(self, item_id: str, shows: float, clicks: float, now: float) -> None:
        self._add(item_id, shows, clicks, now)
        self._tell(item_id, shows, clicks)

    def counts(self, item_ids: Sequence[str], now: float) -> Counts:
        """What was counted of these items, as it counts at that time (seconds since 1970)."""
        shows, clicks = np.zeros(len(item_ids)), np.zeros(len(item_ids))
        if not self._counts.keys().isdisjoint(item_ids):  # of most items nobody has been told anything
            told = map(self._counts.get, item_ids)
            places, found = zip(*((place, count) for place, count in enumerate(told) if count), strict=True)
            kept = np.fromiter(chain.from_iterable(found), np.float64, 3 * len(found)).reshape(-1, 3)
            left = 0.5 ** (np.maximum(now - kept[:, 2], 0.0) / self._half_life)  # of a clock that was set back, all
            shows[list(places)] = left * np.maximum(kept[:, 0], kept[:, 1])
            clicks[list(places)] = left * kept[:, 1]
        return Counts(shows, clicks)

    def counts_at(self, items: Places, places: Int32Array, now: float) -> Counts:
        """As `counts`, of the items at those places, shape (n,); of most nothing was told, and they are not named."""
        shows, clicks = np.zeros(len(places)), np.zeros(len(places))
        at = np.flatnonzero(self._told_of(items)[places])
        if len(at):
            shows[at], clicks[at] = self.counts([items.item_id(place) for place in places[at].tolist()], now)
        return Counts(shows, clicks)

    def _told_of(self, items: Places) -> BoolArray:
        """Which places something was told of, shape (places,): all that have counts, and perhaps some that had."""
        told = self._told.setdefault(items, _Told())
        first, count = len(told.mask), len(items)
        if first < count:
            told.mask = np.append(told.mask, np.zeros(count - first, np.bool_))
            came = map(items.item_id, range(first, count))
            few = len(self._counts) < count - first
            self._mark(told.mask, items, self._counts if few else filter(self._counts.__contains__, came))
        self._mark(told.mask, items, self._news[told.read :])
        told.read = len(self._news)
        return told.mask

    @staticmethod
    def _mark(mask: BoolArray, items: Places, item_ids: Iterable[str]) -> None:
        for item_id in item_ids:
            place = items.place(item_id)
            if place is not None:
                mask[place] = True

    def latest(self, most: int) -> list[str]:
        """The items of which something was heard, the last one first; so many at most."""
        return list(islice(reversed(self._counts), most))

    def _add(self, item_id: str, shows: float, clicks: float, now: float) -> None:
        before = self._counts.pop(item_id, None)
        if before is not None:
            left = 0.5 ** (max(now - before.at, 0.0) / self._half_life)
            shows, clicks = shows + left * before.shows, clicks + left * before.clicks
        else:
            self._news.append(item_id)
            if len(self._news) > 2 * self._most:  # whoever reads them reads the counts instead
                self._news, self._told = [], WeakKeyDictionary()
        self._counts[item_id] = _Count(shows, clicks, now)
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)


class FeedbackByTenant:
    """Counts that one tenant's people make are another's nowhere: each has its own, and so has who has no tenant.

    Tenants are those of API keys, so there are not many; `most` items are counted for each.

    tell: called with the tenant, the item, shows and clicks of all that is taken.
    """

    def __init__(
        self,
        half_life_seconds: float = HALF_LIFE_SECONDS,
        most: int = MOST_ITEMS,
        tell: Callable[[str | None, str, float, float], None] | None = None,
    ) -> None:
        self._half_life, self._most, self._tell = half_life_seconds, most, tell
        self._by_tenant: dict[str | None, Feedback] = {}

    def of(self, tenant: str | None) -> Feedback:
        """That tenant's counts."""
        if tenant not in self._by_tenant:
            tell = _nobody if self._tell is None else partial(self._tell, tenant)
            self._by_tenant[tenant] = Feedback(self._half_life, self._most, tell)
        return self._by_tenant[tenant]
