"""Attribution: which reply an event follows, for as long as people are likely to come back to one.

A reply is remembered by its recommendation id alone: which placement, model and part of an experiment it came from and
which items it had, and not for whom it was. Events that name the id are counted there, of each of its items one show
and one click: whoever sends more, or names other items, changes nothing. Each server remembers its own replies, in
memory: what another one answered, or answered too long ago, is counted nowhere. The workers of one server tell each
other of events that name a reply which is none of theirs.
"""

from collections import OrderedDict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

KEPT_SECONDS = 3600.0
MOST_REPLIES = 200_000  # about 70 MB, and
MOST_ITEMS = 5_000_000  # of theirs: 40 MB more, as the texts are the models' own

Counted: TypeAlias = Literal["shown", "clicked"]


class Origin(NamedTuple):
    """Where a reply came from.

    model_id: "" where there was no model.
    arm: "experiment/arm" of each experiment that it was part of, joined by commas; "" for none.
    was_named: whether the request said which model had to answer: no trial has chosen who sees the reply then.
    """

    placement: str
    model_id: str
    arm: str = ""
    was_named: bool = False


@dataclass(slots=True, eq=False)
class _Remembered:
    """One reply. shown, clicked: bit i is set once that was counted of item i; ads: where item i is one."""

    origin: Origin
    items: tuple[str, ...]
    ads: int
    until: float
    shown: int = 0
    clicked: int = 0


class Attribution:
    """The replies of the last hour.

    kept_seconds: how long a reply is remembered.
    most: replies; where there are more, the oldest are forgotten.
    most_items: items of all of them; likewise.
    """

    def __init__(
        self, kept_seconds: float = KEPT_SECONDS, most: int = MOST_REPLIES, most_items: int = MOST_ITEMS
    ) -> None:
        self._kept_seconds, self._most, self._most_items = kept_seconds, most, most_items
        self._items = 0
        self._replies: OrderedDict[str, _Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._replies)

    def remember(
        self, recommendation_id: str, origin: Origin, items: Iterable[str], now: float, ads: Container[str] = ()
    ) -> None:
        """Keep where a reply came from and what was in it; now: seconds, of a clock that does not go back.

        ads: those of the items that are ads.
        """
        names = tuple(items)
        bits = sum(1 << place for place, name in enumerate(names) if name in ads)
        kept = _Remembered(origin, names, bits, now + self._kept_seconds)
        self._replies[recommendation_id] = kept
        self._items += len(kept.items)
        while self._replies and self._is_too_much(now):
            _, gone = self._replies.popitem(last=False)
            self._items -= len(gone.items)

    def knows(self, recommendation_id: str, now: float) -> bool:
        """Whether the reply is remembered here."""
        return self._known(recommendation_id, now) is not None

    def count(self, recommendation_id: str, item_id: str, what: Counted, now: float) -> Origin | None:
        """Count an item of a reply as shown, or as clicked: where the reply came from.

        None where there is nothing to count: the reply is not known or had no such item, or that was counted before.
        """
        found = self._known(recommendation_id, now)
        if found is None or item_id not in found.items:
            return None
        bit = 1 << found.items.index(item_id)
        before = found.shown if what == "shown" else found.clicked
        if before & bit:
            return None
        if what == "shown":
            found.shown = before | bit
        else:
            found.clicked = before | bit
        return found.origin

    def was_ad(self, recommendation_id: str, item_id: str, now: float) -> bool | None:
        """Whether the item stood in that reply as an ad; None where the reply is not known or had no such item."""
        found = self._known(recommendation_id, now)
        if found is None or item_id not in found.items:
            return None
        return bool(found.ads >> found.items.index(item_id) & 1)

    def _known(self, recommendation_id: str, now: float) -> _Remembered | None:
        found = self._replies.get(recommendation_id)
        return None if found is None or found.until <= now else found

    def _is_too_much(self, now: float) -> bool:
        oldest = next(iter(self._replies.values()))
        return len(self._replies) > self._most or self._items > self._most_items or oldest.until <= now
