"""A person in bytes: what goes in comes out, and what is damaged is said to be."""

import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.embedding import UserEmbedding
from feature_store.errors import CorruptStore
from feature_store.event_weights import EventWeights
from feature_store.events import Event
from feature_store.history_limits import HistoryLimits
from feature_store.met import MetItems
from feature_store.person_bytes import (
    embedding_from_bytes,
    embedding_to_bytes,
    log_from_bytes,
    log_to_bytes,
    met_from_bytes,
    met_to_bytes,
)
from feature_store.person_record import PersonRecord, add, met
from tests.feature_store.person_events import events_of


@given(st.lists(events_of(st.just("ada")), min_size=1, max_size=12), st.integers(1, 5), st.integers(1, 2**63 - 1))
def test_a_record_comes_back_as_it_was(events: list[Event], most: int, token: int) -> None:
    record, _ = add(None, events, HistoryLimits(events=most), EventWeights(), token)
    assert log_from_bytes("ada", log_to_bytes(record)) == record
    items = met(record, EventWeights())
    assert met_from_bytes(met_to_bytes(items)) == items


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=256), st.integers(-(2**90), 2**90))
def test_text_and_numbers_of_every_kind_come_back_as_they_were(text: str, number: int) -> None:
    record = PersonRecord(text, (Event(text, text, text, text, 1e10 / 3, number, text),))
    assert log_from_bytes(text, log_to_bytes(record)) == record


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9),
    st.integers(0, 2**63 - 1),
)
def test_an_embedding_comes_back_bit_for_bit(numbers: list[float], watermark: int) -> None:
    embedding = UserEmbedding(np.array(numbers, dtype=np.float32), "r0001-aa", watermark)
    content = embedding_to_bytes(embedding)
    assert len(content) == 9 + 4 * len(numbers)
    back = embedding_from_bytes("r0001-aa", content)
    assert back == embedding
    assert back.vector.tobytes() == embedding.vector.tobytes()


def a_log() -> bytes:
    events = [Event(f"e{n}", "ada", f"item {n % 7}", "view", float(n)) for n in range(40)]
    return log_to_bytes(add(None, events, HistoryLimits(events=20), EventWeights(), 1)[0])


def packed(*parts: object) -> bytes:
    return b"\x01" + zlib.compress(json.dumps(parts).encode())


@given(st.binary(max_size=60), st.integers(0, 400))
def test_bytes_that_are_none_of_ours_are_named_as_damage(noise: bytes, place: int) -> None:
    log = a_log()
    for content in (noise, b"\x01" + noise, log[: min(place, len(log) - 1)], b"\x02" + log[1:]):
        with pytest.raises(CorruptStore, match=f"{len(content)} bytes are not the log of a person"):
            log_from_bytes("ada", content)
        with pytest.raises(CorruptStore, match="bytes are not the met of a person"):
            met_from_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        packed(),
        packed(None, 1, ["e1"], [1.0], [None], ["heat"], [1], [["view", None]], [0], [], [], [], []),  # no item 1
        packed(None, 1, ["e1"], [], [None], ["heat"], [0], [["view", None]], [0], [], [], [], []),  # no time
        packed(None, 1, ["e1"], [-1.0], [None], ["heat"], [0], [["view", None]], [0], [], [], [], []),  # no event
        packed(None, 1, [], [], [], [], [], [], [], ["heat"], [1.0], [], []),  # no last
        b"\x01" + zlib.compress(b"[" * 100_000),
        b"\x01" + zlib.compress(bytes(1 << 27)),
    ],
    ids=["no parts", "no such item", "no time", "no such time", "half a signal", "too deep", "too long"],
)
def test_parts_that_do_not_fit_together_are_named_as_damage(content: bytes) -> None:
    with pytest.raises(CorruptStore, match="bytes are not the log of a person"):
        log_from_bytes("ada", content)


@pytest.mark.parametrize("content", [b"", b"\x01", b"\x01" + bytes(8), b"\x01" + bytes(11), b"\x02" + bytes(12)])
def test_bytes_that_are_no_embedding_are_named_as_damage(content: bytes) -> None:
    with pytest.raises(CorruptStore, match="bytes are not the embedding of a person"):
        embedding_from_bytes("r0001-aa", content)


def test_a_vector_that_is_not_finite_is_named_as_damage() -> None:
    with pytest.raises(CorruptStore, match="finite numbers only"):
        embedding_from_bytes("r0001-aa", b"\x01" + bytes(8) + np.array([np.nan], dtype="<f4").tobytes())


def test_the_met_of_many_items_takes_few_bytes() -> None:
    assert len(met_to_bytes(MetItems(tuple(f"item-{n:06}" for n in range(500)), 2**62))) < 500 * 5
