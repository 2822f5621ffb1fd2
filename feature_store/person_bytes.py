"""A person in bytes, as every store seals them: what was done, what was met, and the user embeddings.

Each begins with a byte that names its version. Behind it stands

    log          deflated JSON by column, ids that repeat said once:
                 [floor, watermark, [event id...], [time...], [value...], [item...], [place of the item...],
                 [[kind, vertical]...], [place of that...],
                 of each signal: [item...], [weight...], [last...], [hidden, 0 or 1...]]
    met          deflated JSON: [watermark, [item met...], [item disliked...]]
    embedding    8 bytes of watermark, then the vector; little-endian, float32

The person's id is not among it: who asks knows it, and the store seals it apart. Bytes that are none of these raise
`CorruptStore`.
"""

import json
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput, CorruptStore
from feature_store.events import Event
from feature_store.met import MetItems
from feature_store.person_record import PersonRecord, Signal

_VERSION = b"\x01"
_LEVEL = 1  # of deflate: 6 takes almost three times as long for a sixteenth less
_LARGEST = 1 << 26  # bytes of JSON that we unpack; far more than any limits allow of one person
_MARK = struct.Struct("<Q")
_LITTLE_ENDIAN = np.dtype("<f4")
_DAMAGED = (zlib.error, struct.error, ValueError, TypeError, LookupError, RecursionError, BadInput)

Read = TypeVar("Read")


def log_to_bytes(record: PersonRecord) -> bytes:
    """The events and signals of the record."""
    events, signals = record.events, record.signals
    items, item_places = _named(event.item_id for event in events)
    kinds, kind_places = _named((event.event, event.vertical) for event in events)
    return _packed(
        [
            record.floor,
            record.watermark,
            [event.event_id for event in events],
            [event.timestamp for event in events],
            [event.value for event in events],
            items,
            item_places,
            kinds,
            kind_places,
            list(signals),
            [signal.weight for signal in signals.values()],
            [signal.last for signal in signals.values()],
            [int(signal.hidden) for signal in signals.values()],
        ]
    )


def log_from_bytes(user_id: str, content: bytes) -> PersonRecord:
    """The record of that person, as `log_to_bytes` was given it."""

    def read() -> PersonRecord:
        floor, watermark, event_ids, times, values, items, item_places, kinds, kind_places, *signals = _unpacked(
            content
        )
        events = tuple(
            Event(event_id, user_id, items[item], kinds[kind][0], time, value, kinds[kind][1])
            for event_id, time, value, item, kind in zip(
                event_ids, times, values, item_places, kind_places, strict=True
            )
        )
        left = {
            item_id: Signal(weight, last, bool(hidden)) for item_id, weight, last, hidden in zip(*signals, strict=True)
        }
        return PersonRecord(user_id, events, left, floor, watermark)

    return _checked("log", content, read)


def met_to_bytes(met: MetItems) -> bytes:
    """The items met and disliked."""
    return _packed([met.watermark, met.item_ids, met.disliked])


def met_from_bytes(content: bytes) -> MetItems:
    """The items, as `met_to_bytes` was given them."""

    def read() -> MetItems:
        watermark, item_ids, disliked = _unpacked(content)
        return MetItems(tuple(item_ids), watermark, tuple(disliked))

    return _checked("met", content, read)


def embedding_to_bytes(embedding: UserEmbedding) -> bytes:
    """The vector and its watermark; the checkpoint id is not among it."""
    return _VERSION + _MARK.pack(embedding.watermark) + embedding.vector.astype(_LITTLE_ENDIAN).tobytes()


def embedding_from_bytes(checkpoint_id: str, content: bytes) -> UserEmbedding:
    """The embedding for that checkpoint, as `embedding_to_bytes` was given it."""
    try:
        body = _body(content)
        vector = np.frombuffer(body, dtype=_LITTLE_ENDIAN, offset=_MARK.size).astype(np.float32, copy=False)
        return UserEmbedding(vector, checkpoint_id, _MARK.unpack_from(body)[0])
    except _DAMAGED as error:
        raise _damaged("embedding", content, error) from error


def _named(names: Iterable[object]) -> tuple[list[object], list[int]]:
    """The different names in the order of their first use, and for each name its place among them."""
    places: dict[object, int] = {}
    used = [places.setdefault(name, len(places)) for name in names]
    return list(places), used


def _packed(values: Sequence[object]) -> bytes:
    written = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return _VERSION + zlib.compress(written, _LEVEL)


def _unpacked(content: bytes) -> list[Any]:
    """The parts. Their types are not looked at one by one: what is sealed is ours, or does not open at all."""
    inflating = zlib.decompressobj()
    written = inflating.decompress(_body(content), _LARGEST)
    if not inflating.eof:
        raise ValueError("it ends too early, or is far too long")
    parts: list[Any] = json.loads(written)
    return parts


def _body(content: bytes) -> bytes:
    if content[:1] != _VERSION:
        raise ValueError(f"its version is {content[:1].hex() or 'missing'}; this Hearth knows {_VERSION.hex()}")
    return content[1:]


def _checked(name: str, content: bytes, read: Callable[[], Read]) -> Read:
    try:
        return read()
    except _DAMAGED as error:
        raise _damaged(name, content, error) from error


def _damaged(name: str, content: bytes, error: Exception) -> CorruptStore:
    return CorruptStore(f"{len(content)} bytes are not the {name} of a person as this Hearth writes it: {error}")
