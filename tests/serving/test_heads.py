"""A head has one meaning, or is refused; whatever is accepted, another reader of HTTP sees the same in it."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.heads import Head, Malformed, read_head

LINE = b"POST /a?b HTTP/1.1\r\n"


def head_of(*fields: bytes, line: bytes = LINE, host: bytes = b"host: h\r\n") -> Head:
    return read_head(line + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1\r\n",
        b"GET /  HTTP/1.1\r\n",
        b" GET / HTTP/1.1\r\n",
        b"\r\nGET / HTTP/1.1\r\n",
        b"GET\t/ HTTP/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET / HTTP/1.1\n",
        b"GET / http/1.1\r\n",
        b"GET / HTTP/0.9\r\n",
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.10\r\n",
        b"GET / RTSP/1.0\r\n",
        b"SOURCE / ICE/1.0\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"GET /\r\n",
        b"GET HTTP/1.1\r\n",
        b"GET /\x00 HTTP/1.1\r\n",
        b"GET /\x7f HTTP/1.1\r\n",
        b"GET /\xe4 HTTP/1.1\r\n",
        b"GET /a b HTTP/1.1\r\n",
        b"G(T / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\r\n",
    ],
    ids=repr,
)
def test_a_request_line_has_one_form(line: bytes) -> None:
    with pytest.raises(Malformed):
        head_of(line=line)


@pytest.mark.parametrize(
    "field",
    [
        b"a : b",
        b"a\t: b",
        b" a: b",
        b"a: b\r\n c",
        b"a: b\r\n\tc",
        b"a: b\nc: d",
        b"a: b\rc: d",
        b"a: b\x00c",
        b"a: b\x01",
        b"a: b\x0bc",
        b"a: \x7f",
        b"a",
        b": b",
        b"a b: c",
        b"a\x80: b",
        b'a"b: c',
        b"host: h",
        b"Host: other",
        b"content-length: 1\r\ncontent-length: 1",
        b"content-length: 1\r\nContent-Length: 2",
        b"content-length: 1, 1",
        b"content-length: +1",
        b"content-length: -1",
        b"content-length: 0x1",
        b"content-length: 1 1",
        b"content-length: 1_0",
        b"content-length:",
        b"content-length : 1",
        b"content-length: " + b"0" * 20 + b"1",
        b"content-length: " + b"0" * 5000 + b"1",
        b"content-length: 18446744073709551616",
        b"transfer-encoding:",
        b"transfer-encoding : chunked",
        b"transfer-encoding: identity",
        b"transfer-encoding: gzip, chunked",
        b"transfer-encoding: chunked, chunked",
        b"transfer-encoding: chunked, identity",
        b"transfer-encoding: chunked;q=1",
        b"transfer-encoding: xchunked",
        b'transfer-encoding: "chunked"',
        b"transfer-encoding: \x0bchunked",
        b"transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        b"transfer-encoding: chunked\r\nTransfer-Encoding: identity",
        b"transfer-encoding: identity\r\ntransfer-encoding: chunked",
    ],
    ids=lambda field: repr(field[:60]),
)
def test_fields_that_two_readers_could_take_for_different_things_are_refused(field: bytes) -> None:
    with pytest.raises(Malformed):
        head_of(field)


def test_a_host_is_asked_for_in_its_version_alone() -> None:
    with pytest.raises(Malformed):
        head_of(host=b"")
    assert head_of(line=b"GET / HTTP/1.0\r\n", host=b"").headers == []


def test_chunks_are_for_a_version_that_has_them() -> None:
    with pytest.raises(Malformed):
        head_of(b"transfer-encoding: chunked", line=b"POST / HTTP/1.0\r\n")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"get", b"/"),
        (b"FROB", b"/"),
        (b"OPTIONS", b"*"),
        (b"CONNECT", b"h:443"),
        (b"GET", b"http://other/livez"),
        (b"GET", b"//other/livez"),
        (b"GET", b"/a#b"),
    ],
)
def test_methods_and_targets_are_left_to_the_routes_as_they_are(method: bytes, target: bytes) -> None:
    head = head_of(line=method + b" " + target + b" HTTP/1.1\r\n")
    assert (head.method.encode(), head.target, head.length) == (method, target, 0)


def test_an_empty_value_is_a_value_and_not_the_beginning_of_the_next_name() -> None:
    assert head_of(b"a:", b"content-length: 5").headers == [(b"host", b"h"), (b"a", b""), (b"content-length", b"5")]


def test_an_offer_of_another_protocol_is_passed_over_with_the_body_that_it_brings() -> None:
    """Java's client makes one with the first request that it sends, whichever that is."""
    offer = b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings"
    assert head_of(offer, b"content-length: 5").length == 5
    assert head_of(offer, b"transfer-encoding: chunked").length is None
    assert head_of(offer).keeps_alive


@pytest.mark.parametrize(
    "field", [b"connection: Close", b"connection: te, close", b"connection: te\r\nconnection: close"]
)
def test_a_client_says_that_a_request_is_its_last(field: bytes) -> None:
    assert not head_of(field).keeps_alive


@pytest.mark.parametrize("field", [b"connection: keep-alive", b"connection: closed", b"a: close"])
def test_a_client_of_the_older_version_always_sends_its_last_request(field: bytes) -> None:
    assert head_of(field).keeps_alive
    assert not head_of(field, line=b"GET / HTTP/1.0\r\n").keeps_alive


def test_a_client_that_waits_for_word_to_go_on_is_told_in_a_version_that_has_it() -> None:
    assert head_of(b"Expect: 100-Continue").expects_continue
    assert not head_of(b"Expect: 100-Continue", line=b"POST / HTTP/1.0\r\n").expects_continue
    assert not head_of().expects_continue


PIECES = [
    b"GET",
    b"POST",
    b" ",
    b"/",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"\r\n",
    b"\n",
    b"\r",
    b"\t",
    b":",
    b",",
    b";",
    b"\x00",
]
PIECES += [b"host", b"Host: h\r\n", b"content-length", b"transfer-encoding", b"chunked", b"connection", b"close"]
PIECES += [b"upgrade", b"5", b"0", b"+", b"x", b"\xff", b"\x0b", b"GET / HTTP/1.1\r\nhost: h\r\n", b"a: b\r\n"]
PIECES += [b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"]
BEGINNINGS = st.sampled_from([b"", b"POST /a?b HTTP/1.1\r\nhost: h\r\n"])


@given(BEGINNINGS, st.lists(st.sampled_from(PIECES), max_size=12))
def test_whatever_is_accepted_another_reader_accepts_and_sees_the_same_in_it(begun: bytes, parts: list[bytes]) -> None:
    sent = begun + b"".join(parts) + b"\r\n\r\n"
    sent = sent[: sent.find(b"\r\n\r\n") + 4]
    try:
        head = read_head(sent)
    except Malformed:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(sent)
    seen = other.next_event()
    assert isinstance(seen, h11.Request)
    assert (seen.method, seen.target, seen.http_version) == (head.method.encode(), head.target, head.version.encode())
    assert [(bytes(name), bytes(value).lower()) for name, value in seen.headers] == [
        (name, value.lower()) for name, value in head.headers
    ]
    assert (other.next_event() is h11.NEED_DATA) is (head.length != 0)
