"""Interactions: who did what with which item and when, in columns, read from a CSV file."""

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array
from feature_store.errors import BadInput, MalformedLine
from feature_store.events import LATEST_TIMESTAMP, LONGEST_ID
from feature_store.tabular import Table, open_table, shown
from feature_store.vocabulary import ItemVocabulary

_LARGEST_VALUE = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many lines were left out because the caller asked for it; nothing else ever is.

    events: lines of each event that was not asked for.
    low_values: lines of the other events whose value is below the least one asked for.
    """

    events: Mapping[str, int] = field(default_factory=dict)
    low_values: int = 0

    @property
    def lines(self) -> int:
        """All lines left out."""
        return sum(self.events.values()) + self.low_values


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """Interactions in the order of the file, one entry of each array a line.

    vocabulary: the items, those to start from first and then the others as they appear.
    user_ids: the people, as they appear.
    event_names: what was done, as it appears.
    users, items, events: rows of user_ids, of the vocabulary and of event_names; int32, shape (interactions,).
    timestamps: seconds since 1970, float64, shape (interactions,); NaN where there is none.
    values: stars, seconds, pieces: float32, shape (interactions,); NaN where there is none.
    left_out: the lines that are not among them.
    device_names: the classes of devices, as they appear.
    devices: rows of device_names, int32, shape (interactions,), -1 where there is none; None where the file has no
        such column.
    """

    vocabulary: ItemVocabulary
    user_ids: tuple[str, ...]
    event_names: tuple[str, ...]
    users: Int32Array
    items: Int32Array
    events: Int32Array
    timestamps: Float64Array
    values: Float32Array
    left_out: LeftOut = field(default_factory=LeftOut)
    device_names: tuple[str, ...] = ()
    devices: Int32Array | None = None

    def __len__(self) -> int:
        return len(self.users)


def read_interactions(
    path: Path,
    *,
    vocabulary: ItemVocabulary | None = None,
    events: Collection[str] | None = None,
    min_value: float | None = None,
) -> Interactions:
    """The interactions of a CSV file (plain or gzip-compressed).

    The columns user_id, item_id and event are required. timestamp, value and device may be missing or empty. Other
    columns are allowed, and nothing is made of them yet.

    vocabulary: items that have a row before any other, such as the catalogue's, whether or not anybody met them.
    events: leave out the lines of any other event.
    min_value: leave out the lines whose value is lower. A line without a value stays: a view has no stars.

    Raises:
        BadInput: the file cannot be opened, holds none of an event that is asked for, or has no values to compare
            with `min_value`.
        MalformedLine: a line is not what the format asks for.
    """
    wanted = None if events is None else frozenset(events)
    users: dict[str, int] = {}
    items = dict(zip(vocabulary.item_ids, range(len(vocabulary)), strict=True)) if vocabulary else {}
    names: dict[str, int] = {}
    other_events: Counter[str] = Counter()
    low_values = 0
    user_column, item_column, event_column = array("i"), array("i"), array("i")
    time_column, value_column = array("d"), array("f")
    devices: dict[str, int] = {}
    device_column = array("i")
    if min_value is not None and not math.isfinite(min_value):
        raise BadInput(f"the least value to keep is a finite number; got {min_value}")
    with open_table(path, required=["user_id", "item_id", "event"]) as table:
        if min_value is not None:
            table.position("value")
        has_devices = "device" in table.columns
        for user_id, item_id, event, timestamp, value, device in _parsed(table):
            if wanted is not None and event not in wanted:
                other_events[event] += 1
                continue
            name = names.setdefault(event, len(names))
            if min_value is not None and value < min_value:  # false where the value is NaN
                low_values += 1
                continue
            user_column.append(users.setdefault(user_id, len(users)))
            item_column.append(items.setdefault(item_id, len(items)))
            event_column.append(name)
            time_column.append(timestamp)
            value_column.append(value)
            device_column.append(devices.setdefault(device, len(devices)) if device else -1)
    if wanted is not None and not wanted <= names.keys():
        found = ", ".join([*names, *other_events]) or "none"
        raise BadInput(f"{path} holds no event {min(wanted - names.keys())!r}; its events are: {found}")
    return Interactions(
        vocabulary=ItemVocabulary(items),
        user_ids=tuple(users),
        event_names=tuple(names),
        users=np.frombuffer(user_column, dtype=np.int32),
        items=np.frombuffer(item_column, dtype=np.int32),
        events=np.frombuffer(event_column, dtype=np.int32),
        timestamps=np.frombuffer(time_column, dtype=np.float64),
        values=np.frombuffer(value_column, dtype=np.float32),
        left_out=LeftOut(dict(other_events), low_values),
        device_names=tuple(devices),
        devices=np.frombuffer(device_column, dtype=np.int32) if has_devices else None,
    )


def _parsed(table: Table) -> Iterator[tuple[str, str, str, float, float, str]]:
    """User id, item id, event, timestamp, value and device of each line, checked; no device is the empty text."""
    user_at, item_at, event_at = (table.position(name) for name in ("user_id", "item_id", "event"))
    time_at, value_at, device_at = (
        table.columns.index(name) if name in table.columns else None for name in ("timestamp", "value", "device")
    )
    for line, fields in table.rows:
        user_id, item_id, event = fields[user_at], fields[item_at], fields[event_at]
        for name, text in (("user_id", user_id), ("item_id", item_id), ("event", event)):
            if not 0 < len(text) <= LONGEST_ID:
                raise MalformedLine(table.path, line, f"{name} has 1 to {LONGEST_ID} characters; got {len(text)}")
        timestamp = value = math.nan
        if time_at is not None and fields[time_at]:
            timestamp = _number(fields[time_at])
            if not 0 <= timestamp < LATEST_TIMESTAMP:
                reason = f"timestamp is seconds (not milliseconds) since 1970, or empty; got {shown(fields[time_at])}"
                raise MalformedLine(table.path, line, reason)
        if value_at is not None and fields[value_at]:
            value = _number(fields[value_at])
            if not abs(value) <= _LARGEST_VALUE:
                reason = f"value is a finite number, or empty; got {shown(fields[value_at])}"
                raise MalformedLine(table.path, line, reason)
        device = "" if device_at is None else fields[device_at]
        if len(device) > LONGEST_ID:
            raise MalformedLine(table.path, line, f"device has at most {LONGEST_ID} characters; got {len(device)}")
        yield user_id, item_id, event, timestamp, value, device


def _number(text: str) -> float:
    """The number that the text is; NaN where it is none, which no check lets pass."""
    try:
        return float(text)
    except ValueError:
        return math.nan
