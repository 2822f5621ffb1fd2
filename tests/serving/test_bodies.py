"""A body is taken to its end and never beyond it, however it is cut up on its way."""

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.bodies import Body, ChunkedBody, CountedBody
from serving.heads import LARGEST_HEAD, Malformed

BEHIND = b"GET /behind HTTP/1.1\r\nhost: h\r\n\r\n"


def taken(body: Body, *sent: bytes) -> tuple[bytes, bytes]:
    """The body, and what was left unread behind it."""
    found, unread = b"", bytearray()
    for part in sent:
        unread += part
        while unread and not body.is_whole:
            found += body.take(unread)
    return found, bytes(unread)


def cut(sent: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(sent), *(place % len(sent) for place in places)})
    return [sent[begin:end] for begin, end in pairwise(at)]


@given(st.binary(min_size=1), st.lists(st.integers(0), max_size=5))
def test_a_counted_body_ends_where_it_says(content: bytes, places: list[int]) -> None:
    body = CountedBody(len(content))
    assert taken(body, *cut(content + BEHIND, places)) == (content, BEHIND)
    assert body.is_whole


def test_a_body_of_no_bytes_is_whole_before_any_comes() -> None:
    assert CountedBody(0).is_whole


PIECES = st.lists(
    st.one_of(st.binary(min_size=1), st.sampled_from([b"\n", b"\r\n", b"0\r\n\r\n", b"a\n\nb"])), max_size=6
)
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b';a="b c"'])
TRAILERS = st.sampled_from([b"", b"a: b\r\n", b"a:\r\n", b"connection: close\r\nhost: x\r\n"])


@given(PIECES, EXTENSIONS, TRAILERS, st.lists(st.integers(0), max_size=8))
def test_a_body_in_chunks_ends_behind_its_trailers_and_nothing_of_the_next_request_is_taken(
    pieces: list[bytes], extension: bytes, trailers: bytes, places: list[int]
) -> None:
    body = ChunkedBody()
    sent = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    sent += b"0" + extension + b"\r\n" + trailers + b"\r\n" + BEHIND
    assert taken(body, *cut(sent, places)) == (b"".join(pieces), BEHIND)
    assert body.is_whole


@pytest.mark.parametrize(
    "sent",
    [
        b"1\na\r\n0\r\n\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"1\r\na0\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"1 \r\na\r\n0\r\n\r\n",
        b" 1\r\na\r\n0\r\n\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b"-1\r\na\r\n0\r\n\r\n",
        b"+1\r\na\r\n0\r\n\r\n",
        b"\r\na\r\n0\r\n\r\n",
        b";a\r\na\r\n0\r\n\r\n",
        b"1\r\r\na\r\n0\r\n\r\n",
        b"1;a\nb\r\na\r\n0\r\n\r\n",
        b'1;a="\n"\r\na\r\n0\r\n\r\n',
        b"1;\x00\r\na\r\n0\r\n\r\n",
        b"10000000000000000\r\na",
        b"0\n\n",
        b"0\r\n\n",
        b"0\r\na : b\r\n\r\n",
        b"0\r\na: b\r\n c\r\n\r\n",
        b"0\r\na: b\n\r\n",
        b"0\r\ntransfer-encoding: chunked\r\n\r\n",
        b"0\r\ncontent-length: 5\r\n\r\n",
    ],
    ids=repr,
)
def test_chunks_that_two_readers_could_end_in_two_places_are_refused(sent: bytes) -> None:
    with pytest.raises(Malformed):
        taken(ChunkedBody(), sent)


@pytest.mark.parametrize("sent", [b"1;" + b"x" * LARGEST_HEAD, b"0\r\n" + b"a: b\r\n" * 4000, b"0" * 2 * LARGEST_HEAD])
def test_there_is_an_end_to_extensions_trailers_and_zeros(sent: bytes) -> None:
    with pytest.raises(Malformed):
        taken(ChunkedBody(), *(sent[at : at + 100] for at in range(0, len(sent), 100)))


PARTS = [b"1\r\n", b"2\r\n", b"0\r\n", b"\r\n", b"\n", b"\r", b"a", b"ab", b"1", b"0", b";", b";a=b", b" ", b"\t", b":"]
PARTS += [b"x: y\r\n", b"1\r\na\r\n", b"0\r\n\r\n", b'"']


@given(st.lists(st.sampled_from(PARTS), max_size=12))
def test_whatever_is_accepted_another_reader_accepts_and_ends_in_the_same_place(parts: list[bytes]) -> None:
    body, sent = ChunkedBody(), b"".join(parts)
    try:
        found, behind = taken(body, sent)
    except Malformed:
        return
    if not body.is_whole:
        return
    other, seen = h11.Connection(h11.SERVER), b""
    other.receive_data(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n" + sent)
    while type(event := other.next_event()) is not h11.EndOfMessage:
        seen += event.data if isinstance(event, h11.Data) else b""
    assert (seen, other.trailing_data[0]) == (found, behind)
