"""A person's record: the history that every store keeps, whatever it keeps it in, and how it changes.

The newest events are kept one by one. An event that goes, because there are too many or because it is too old, leaves
for its item what it came to: a signal. Events go in the order of the history, oldest first, and one that comes later
than the newest that has gone (the floor) is not taken. So each event counts once, whatever order they come in.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from feature_store.errors import BadInput
from feature_store.event_weights import EventWeights
from feature_store.events import Event, History
from feature_store.history_limits import HistoryLimits
from feature_store.met import MetItems


class Signal(NamedTuple):
    """What events that have gone came to, of one item.

    weight: the sum of their weights since the item was hidden last.
    last: the time of the last of them, in seconds since 1970.
    hidden: whether the item was ever hidden.
    """

    weight: float
    last: float
    hidden: bool


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """All that an event store holds of one person.

    events: by time, and by arrival where the times are equal.
    signals: item id -> what events that have gone left behind.
    floor: the time of the newest event that has gone; None while none has. What is not known and not later is too old.
    watermark: the token of the write that changed the record last, and 0 for nobody's. As tokens are random, it never
        comes back, not even after the person was deleted; and a writer that lost its connection sees by it whether
        its write had come through.
    """

    user_id: str
    events: tuple[Event, ...] = ()
    signals: Mapping[str, Signal] = field(default_factory=dict, hash=False)
    floor: float | None = None
    watermark: int = 0

    @property
    def history(self) -> History:
        """The events that are kept one by one."""
        return History(self.events, self.watermark)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known any more: a store then removes the record."""
        return not self.events and not self.signals


def new_token() -> int:
    """A token for one write: 63 random bits, never 0."""
    return secrets.randbits(63) or 1


def by_person(events: Sequence[Event]) -> dict[str, list[int]]:
    """Whose events stand where: user id -> positions, people in the order of their first event."""
    positions: dict[str, list[int]] = {}
    for position, event in enumerate(events):
        positions.setdefault(event.user_id, []).append(position)
    return positions


def add(
    record: PersonRecord | None, events: Sequence[Event], limits: HistoryLimits, weights: EventWeights, token: int
) -> tuple[PersonRecord, list[bool]]:
    """The record with those of the events that are new.

    Args:
        record: None for a person not known.
        events: at least one, all of one person. Of an event id twice among them the first counts.
        limits: how much is kept.
        weights: what is left behind by an event that goes.
        token: becomes the watermark, where anything is new; see `new_token`.

    Returns:
        The record, the same object where nothing is new; and for each event whether it is: True exactly once, False
        where the id is known or the event too old.
    """
    if not events or len({event.user_id for event in events} | ({record.user_id} if record else set())) != 1:
        raise BadInput(f"events are added to the record of one person; got {len(events)} events of several, or none")
    held = record or PersonRecord(events[0].user_id)
    known = {event.event_id for event in held.events}
    fresh, flags = [], []
    for event in events:
        new = event.event_id not in known and (held.floor is None or event.timestamp > held.floor)
        flags.append(new)
        if new:
            known.add(event.event_id)
            fresh.append(event)
    if not fresh:
        return held, flags
    merged = sorted((*held.events, *fresh), key=lambda event: event.timestamp)  # stable: arrival decides among equals
    gone, kept = merged[: -limits.events], merged[-limits.events :]
    changed = replace(held, events=tuple(kept), watermark=token)
    if gone:
        followed = _followed(held.signals, gone, weights)
        telling = {item_id: signal for item_id, signal in followed.items() if signal.weight > 0 or signal.hidden}
        signals = _capped(telling, limits.items)
        changed = replace(changed, signals=signals, floor=gone[-1].timestamp)
    return changed, flags


def forget_before(record: PersonRecord, time: float, token: int) -> PersonRecord:
    """The record without what is older than `time` (seconds since 1970); the same object where nothing is.

    Events before that time go without leaving anything. A signal goes whole or not at all: with its last event.
    """
    kept = tuple(event for event in record.events if event.timestamp >= time)
    signals = {item_id: signal for item_id, signal in record.signals.items() if signal.last >= time}
    if len(kept) == len(record.events) and len(signals) == len(record.signals):
        return record
    floor = record.floor
    if len(kept) < len(record.events):
        floor = record.events[len(record.events) - len(kept) - 1].timestamp  # they are by time: the first ones go
    return PersonRecord(record.user_id, kept, signals, floor, token)


def met(record: PersonRecord, weights: EventWeights, since: float | None = None) -> MetItems:
    """The items that the person had to do with, and those hidden.

    since: seconds since 1970; what is older does not count. Signals count where their last event is not older.
    """
    signals: Mapping[str, Signal] = record.signals
    events: Iterable[Event] = record.events
    if since is not None:
        signals = {item_id: signal for item_id, signal in signals.items() if signal.last >= since}
        events = [event for event in events if event.timestamp >= since]
    followed = _followed(signals, events, weights)
    return MetItems(
        item_ids=tuple(sorted(item_id for item_id, signal in followed.items() if signal.weight > 0)),
        watermark=record.watermark,
        disliked=tuple(sorted(item_id for item_id, signal in followed.items() if signal.hidden and not signal.weight)),
    )


def _followed(signals: Mapping[str, Signal], events: Iterable[Event], weights: EventWeights) -> dict[str, Signal]:
    """The signals once those events, all of them later, have been added to them."""
    followed = dict(signals)
    for event in events:
        if event.event in weights.hiding:
            followed[event.item_id] = Signal(0.0, event.timestamp, hidden=True)
            continue
        weight = weights.of(event.vertical, event.event)
        before = followed.get(event.item_id)
        if before is None:
            followed[event.item_id] = Signal(weight, event.timestamp, hidden=False)
        else:
            followed[event.item_id] = Signal(before.weight + weight, event.timestamp, before.hidden)
    return followed


def _capped(signals: dict[str, Signal], most: int) -> dict[str, Signal]:
    if len(signals) <= most:
        return signals
    latest = sorted(signals, key=lambda item_id: (signals[item_id].last, item_id))[len(signals) - most :]
    return {item_id: signals[item_id] for item_id in latest}
