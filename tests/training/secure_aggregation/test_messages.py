"""Messages as bytes: one way to write each, and nothing else is read."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import BadInput
from tests.training.secure_aggregation.rounds import LAYOUT, random_values, talk, world
from training.secure_aggregation.client_messages import (
    Advertisement,
    Agreement,
    MaskedInput,
    SealedShares,
    Unmasking,
)
from training.secure_aggregation.errors import MalformedMessage
from training.secure_aggregation.fixed_point import Field, Layout
from training.secure_aggregation.server_messages import Agreements, Delivery, Roster, Survivors
from training.secure_aggregation.terms import Terms
from training.secure_aggregation.wire import Kind, kind_of

OF = world(4, 3)
TALK = talk(OF, {name: random_values(LAYOUT, 1) for name in OF.terms.cohort}, {"cell-3": 2})
MESSAGES: dict[type[Any], bytes] = {
    Terms: OF.terms.to_bytes(),
    Advertisement: TALK.advertised["cell-0"][1],
    Roster: TALK.roster,
    SealedShares: TALK.shared["cell-1"][1],
    Delivery: TALK.deliveries["cell-2"],
    MaskedInput: TALK.masked["cell-0"][1],
    Survivors: TALK.survivors,
    Agreement: TALK.agreed["cell-1"][1],
    Agreements: TALK.agreements,
    Unmasking: TALK.unmaskings["cell-2"],
}
each = pytest.mark.parametrize("message", MESSAGES, ids=lambda kind: kind.__name__)


def test_each_kind_is_here() -> None:
    assert [kind_of(content) for content in MESSAGES.values()] == list(Kind)


@each
def test_a_message_comes_back_as_it_was(message: type[Any]) -> None:
    read = message.from_bytes(MESSAGES[message])
    assert read.to_bytes() == MESSAGES[message]
    assert message.from_bytes(read.to_bytes()) == read


@each
def test_a_message_cut_short_or_made_longer_is_refused(message: type[Any]) -> None:
    content = MESSAGES[message]
    for end in range(len(content)):
        with pytest.raises(MalformedMessage, match=r"ends after|messages begin with"):
            message.from_bytes(content[:end])
    with pytest.raises(MalformedMessage, match="has 1 bytes after its end"):
        message.from_bytes(content + b"\0")


@each
def test_each_other_kind_is_refused_by_name(message: type[Any]) -> None:
    for other, content in MESSAGES.items():
        if other is not message:
            with pytest.raises(MalformedMessage, match=f"is due here; got one of kind {kind_of(content).words}"):
                message.from_bytes(content)


@each
def test_other_versions_and_formats_are_refused(message: type[Any]) -> None:
    content = MESSAGES[message]
    with pytest.raises(MalformedMessage, match="messages of version 1 are understood; got version 2"):
        message.from_bytes(content[:3] + b"\x02" + content[4:])
    with pytest.raises(MalformedMessage, match="no message of kind number 10"):
        message.from_bytes(content[:4] + b"\x0a" + content[5:])
    with pytest.raises(MalformedMessage, match="messages begin with b'HSA'"):
        message.from_bytes(b"PK\3" + content[3:])


@each
@settings(max_examples=50)
@given(data=st.data())
def test_changed_bytes_are_refused_or_are_another_message_written_the_one_way(
    message: type[Any], data: st.DataObject
) -> None:
    content = bytearray(MESSAGES[message])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(5, min(len(content), 200) - 1) | st.integers(5, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 4))
    changed = bytes(content[: len(content) - cut] if cut < 3 else content)
    try:
        read = message.from_bytes(changed)
    except MalformedMessage:
        return
    assert read.to_bytes() == changed


@each
@settings(max_examples=50)
@given(rest=st.binary(max_size=300))
def test_any_bytes_behind_a_header_are_refused_or_a_message(message: type[Any], rest: bytes) -> None:
    changed = MESSAGES[message][:5] + rest
    try:
        read = message.from_bytes(changed)
    except MalformedMessage:
        return
    assert read.to_bytes() == changed


def test_a_client_stands_in_a_list_once() -> None:
    content = Survivors(OF.terms.digest, (0, 2, 2)).to_bytes()
    with pytest.raises(MalformedMessage, match="a message of kind survivors has 2 after 2"):
        Survivors.from_bytes(content)
    with pytest.raises(MalformedMessage, match="has 0 after 2"):
        Survivors.from_bytes(Survivors(OF.terms.digest, (2, 0)).to_bytes())


def terms(**changed: Any) -> Terms:
    return Terms(**{"round_id": "r", "cohort": ("a", "b", "c", "d"), "threshold": 3, "layout": LAYOUT} | changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threshold": 2}, "more than half of the cohort of 4"),
        ({"threshold": 5}, "no more than all of it; got 5"),
        ({"cohort": ("a", "b"), "threshold": 2}, "a cohort has 3 to 1024 clients; got 2"),
        ({"cohort": ("a", "b", "b"), "threshold": 2}, "ascending and each there once"),
        ({"cohort": ("b", "a", "c"), "threshold": 2}, "ascending and each there once"),
        ({"cohort": ("", "a", "b"), "threshold": 2}, "a client's name has 1 to 255 bytes"),
        ({"round_id": ""}, "a round's id has 1 to 255 bytes"),
        ({"layout": Layout((Field("w", (1,), 1.0),), 8), "cohort": tuple(map(chr, range(500, 700))), "threshold": 150},
         "a sum of 200 does not fit words of 8 bits"),
    ],
)  # fmt: skip
def test_terms_that_nobody_may_agree_on_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        terms(**changed)


def test_terms_that_come_as_bytes_are_held_to_the_same() -> None:
    content = terms().to_bytes()
    low = content.replace(b"\x00\x03\x20", b"\x00\x02\x20")  # the threshold before the 32 bits of a word
    assert low != content
    with pytest.raises(MalformedMessage, match=r"the terms of round r are none: .* more than half of the cohort of 4"):
        Terms.from_bytes(low)


def test_each_part_of_the_terms_is_in_their_digest() -> None:
    others = [
        terms(round_id="s"),
        terms(cohort=("a", "b", "c", "e")),
        terms(threshold=4),
        terms(layout=Layout(LAYOUT.fields, 64)),
        terms(layout=Layout(LAYOUT.fields[:1])),
        terms(layout=Layout((Field("gradient", (2, 3), 1.0), LAYOUT.fields[1]))),
        terms(layout=Layout((Field("gradient", (3, 2), 2.0), LAYOUT.fields[1]))),
    ]
    assert len({one.digest for one in (terms(), *others)}) == len(others) + 1
