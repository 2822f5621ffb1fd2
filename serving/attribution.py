"""Attribution: which reply an event follows, for as long as people are likely to come back to one.

A reply is remembered by its recommendation id alone: which placement, model and part of an experiment it came from and
which items it had, and not for whom it was. Events that name the id are counted there, of each of its items one show
and one click: whoever sends more, or names other items, changes nothing. Each server remembers its own replies, in
memory: what another one answered, or answered too long ago, is counted nowhere. The workers of one server tell each
other of events that name a reply which is none of theirs.
"""

import marshal
from collections import deque
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

KEPT_SECONDS = 3600.0
MOST_REPLIES = 200_000
MOST_BYTES = 100_000_000
"""As they are kept: some 200 for ten items of short ids. What finds them comes on top, 150 each."""

_PARTS = 64  # of what is remembered; the oldest is forgotten as a whole

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


class _Reply(NamedTuple):
    """One reply, as it is kept; ads: bit i is set where item i is one."""

    until: float
    ads: int
    origin: tuple[str, str, str, bool]
    items: tuple[str, ...]

    def kept(self) -> bytes:
        return marshal.dumps(tuple(self))


@dataclass(slots=True, eq=False)
class _Part:
    """Some replies that came one after the other.

    began: when the first of them was given.
    until: when the last of them is too old.
    held: bytes of all of them.
    shown, clicked: of replies of which something was counted; bit i is set once that was counted of item i.
    """

    began: float
    until: float = 0.0
    held: int = 0
    replies: dict[str, bytes] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    clicked: dict[str, int] = field(default_factory=dict)


class Attribution:
    """The replies of the last hour.

    They are kept as bytes: as objects, Python's collector would go through all of them every minute or so, and hold up
    requests for a tenth of a second.

    kept_seconds: how long a reply is remembered.
    most: replies; where there are more, the oldest 64th is forgotten.
    most_bytes: of all of them as they are kept; likewise.
    """

    def __init__(
        self, kept_seconds: float = KEPT_SECONDS, most: int = MOST_REPLIES, most_bytes: int = MOST_BYTES
    ) -> None:
        self._kept_seconds, self._most, self._most_bytes = kept_seconds, most, most_bytes
        self._replies = self._bytes = 0
        self._parts: deque[_Part] = deque()

    def __len__(self) -> int:
        return self._replies

    def remember(
        self, recommendation_id: str, origin: Origin, items: Iterable[str], now: float, ads: Container[str] = ()
    ) -> None:
        """Keep where a reply came from and what was in it; now: seconds, of a clock that does not go back.

        ads: those of the items that are ads.
        """
        names = tuple(items)
        bits = sum(1 << place for place, name in enumerate(names) if name in ads)
        reply = _Reply(now + self._kept_seconds, bits, origin[:], names)
        part, kept = self._newest(now), reply.kept()
        self._replies += recommendation_id not in part.replies
        part.replies[recommendation_id] = kept
        part.until = reply.until
        part.held += len(kept)
        self._bytes += len(kept)
        while self._parts and self._is_too_much(now):
            gone = self._parts.popleft()
            self._replies -= len(gone.replies)
            self._bytes -= gone.held

    def knows(self, recommendation_id: str, now: float) -> bool:
        """Whether the reply is remembered here."""
        return self._known(recommendation_id, now) is not None

    def count(self, recommendation_id: str, item_id: str, what: Counted, now: float) -> Origin | None:
        """Count an item of a reply as shown, or as clicked: where the reply came from.

        None where there is nothing to count: the reply is not known or had no such item, or that was counted before.
        """
        found = self._known(recommendation_id, now)
        if found is None or item_id not in found[1].items:
            return None
        part, reply = found
        counted = part.shown if what == "shown" else part.clicked
        bit, before = 1 << reply.items.index(item_id), counted.get(recommendation_id, 0)
        if before & bit:
            return None
        counted[recommendation_id] = before | bit
        return Origin(*reply.origin)

    def was_ad(self, recommendation_id: str, item_id: str, now: float) -> bool | None:
        """Whether the item stood in that reply as an ad; None where the reply is not known or had no such item."""
        found = self._known(recommendation_id, now)
        if found is None or item_id not in found[1].items:
            return None
        reply = found[1]
        return bool(reply.ads >> reply.items.index(item_id) & 1)

    def _newest(self, now: float) -> _Part:
        """The part for one more reply. One is as long as a 64th of what may be, by replies, bytes or time."""
        newest = self._parts[-1] if self._parts else None
        if (
            newest is None
            or _PARTS * len(newest.replies) >= self._most
            or _PARTS * newest.held >= self._most_bytes
            or _PARTS * (now - newest.began) >= self._kept_seconds
        ):
            self._parts.append(newest := _Part(now))
        return newest

    def _known(self, recommendation_id: str, now: float) -> tuple[_Part, _Reply] | None:
        for part in reversed(self._parts):  # events follow soon
            kept = part.replies.get(recommendation_id)
            if kept is not None:
                reply = _Reply(*marshal.loads(kept))  # noqa: S302 - our own bytes, of this very process
                return None if reply.until <= now else (part, reply)
        return None

    def _is_too_much(self, now: float) -> bool:
        return self._replies > self._most or self._bytes > self._most_bytes or self._parts[0].until <= now
