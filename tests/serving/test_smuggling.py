"""No bytes of one request become another: over a socket, what is doubtful is refused and nothing behind it is read."""

import asyncio

import pytest

from tests.serving.talking import Told, heads_of_replies, replies_to, talk

OK, REFUSED = b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request"
BEHIND = b"GET /behind HTTP/1.1\r\nhost: h\r\n\r\n"
POST = b"POST /first HTTP/1.1\r\nhost: h\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
COUNTED = b"content-length: %d\r\n\r\n" % len(BEHIND)
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BEHIND), BEHIND)
OFFER = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /first HTTP/1.1\r\n\r\n",
        b"GET /first HTTP/1.1\nhost: h\n\n",
        b"GET /first HTTP/1.1\r\nhost: h\n\r\n",
        b"GET /first HTTP/1.1\r\nhost: h\r\n\n",
        b"GET /first HTTP/2.0\r\nhost: h\r\n\r\n",
        b"GET /first\r\n\r\n",
        b"\r\nGET /first HTTP/1.1\r\nhost: h\r\n\r\n",
        b"\x16\x03\x01\x02",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        POST + b"host: other\r\n\r\n",
        POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\na",
        POST + b"content-length: 1\r\ncontent-length: 1\r\n\r\na",
        POST + b"content-length : 1\r\n\r\na",
        POST + b"content-length: +1\r\n\r\na",
        POST + b"content-length: 1, 1\r\n\r\na",
        POST + b"content-length: " + b"0" * 5000 + b"1\r\n\r\na",
        POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: identity\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        POST + b"a: b\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"a: b\rtransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"a: b\x00\r\n\r\n",
        b"POST /first HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:90]),
)
def test_a_head_of_two_meanings_is_refused_and_nothing_behind_it_is_read(sent: bytes) -> None:
    app = Told()
    assert replies_to(app, sent + BEHIND, count=2) == [REFUSED]
    assert app.paths == []


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02", b" GET", b"\r\n"], ids=repr)
def test_what_cannot_become_a_head_is_refused_before_it_has_an_end(sent: bytes) -> None:
    """Above all TLS where none is spoken: its first bytes have no line."""
    assert replies_to(Told(), sent, count=1) == [REFUSED]


@pytest.mark.parametrize(
    "body",
    [
        b"1\na\r\n0\r\n\r\n",
        b"1\r\na0\r\n\r\n",
        b"1 \r\na\r\n0\r\n\r\n",
        b"1;a\nb\r\na\r\n0\r\n\r\n",
        b"0\r\ncontent-length: 5\r\n\r\n",
        b"0\r\na: b\r\n c\r\n\r\n",
        b"ffffffffffffffffff\r\na",
    ],
    ids=repr,
)
def test_a_body_of_two_meanings_is_refused_and_nothing_behind_it_is_read(body: bytes) -> None:
    app = Told()
    assert replies_to(app, CHUNKED + body + BEHIND, count=2) == [REFUSED]
    assert app.paths == ["/first"]


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (POST + COUNTED + BEHIND, BEHIND),
        (POST + OFFER + COUNTED + BEHIND, BEHIND),
        (CHUNKED + IN_CHUNKS, BEHIND),
        (POST + OFFER + b"transfer-encoding: chunked\r\n\r\n" + IN_CHUNKS, BEHIND),
        (CHUNKED + b'1;a="b c"\r\na\r\n0;d\r\nx: y\r\n\r\n', b"a"),
        (CHUNKED + b"0\r\nhost: x\r\nconnection: close\r\nupgrade: h2c\r\n\r\n", b""),
        (POST + b"a:\r\ncontent-length: 2\r\n\r\nab", b"ab"),
        (POST + OFFER + b"\r\n", b""),
        (b"CONNECT h:443 HTTP/1.1\r\nhost: h\r\n\r\n", b""),
        (b"FROB /first HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\na", b"a"),
    ],
    ids=lambda sent: repr(sent[-60:]),
)
@pytest.mark.parametrize("size", [10_000, 20])
def test_a_body_is_a_body_and_what_stands_behind_it_the_next_request(sent: bytes, body: bytes, size: int) -> None:
    app, whole = Told(), sent + BEHIND
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert replies_to(app, *parts, count=2) == [OK, OK]
    assert app.paths[1:] == ["/behind"]
    assert b"".join(app.bodies[0]) == body


def test_trailers_are_no_headers() -> None:
    app = Told()
    assert replies_to(app, CHUNKED, b"0\r\nauthorization: x\r\n\r\n", count=1) == [OK]
    assert [name for name, _ in app.scopes[0]["headers"]] == [b"host", b"transfer-encoding"]


@pytest.mark.parametrize(
    "last",
    [
        b"GET /first HTTP/1.1\r\nhost: h\r\nConnection: Close\r\n\r\n",
        b"GET /first HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    ],
)
def test_nothing_is_read_behind_a_last_request(last: bytes) -> None:
    app = Told()
    [head] = heads_of_replies(app, last + BEHIND, count=2)
    assert head.startswith(OK)
    assert head.count(b"\r\nconnection: close\r\n") == 1
    assert app.paths == ["/first"]


def test_a_client_that_waits_for_word_before_its_body_gets_it() -> None:
    app, head = Told(), POST + b"expect: 100-continue\r\ncontent-length: 1\r\n\r\n"

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"a")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)

    asyncio.run(talk(app, client))
    assert b"".join(app.bodies[0]) == b"a"


@pytest.mark.parametrize("broken", [b"no chunk\r\n", b"1\r\nab\r\n"], ids=repr)
def test_a_body_that_breaks_on_its_way_is_refused_and_the_app_hears_of_it(broken: bytes) -> None:
    app = Told()
    assert replies_to(app, CHUNKED, broken + BEHIND, count=2) == [REFUSED]
    assert app.paths == ["/first"]


def test_a_body_that_breaks_while_its_reply_is_on_its_way_puts_no_other_into_it() -> None:
    received = b""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        writer.write(CHUNKED.replace(b"/first", b"/begun"))
        received = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"no chunk\r\n")
        received += await reader.read()

    asyncio.run(talk(Told(), client))
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.endswith(b"\r\n\r\no")


def test_a_body_that_breaks_before_its_reply_has_a_body_is_refused_whatever_the_app_has_announced() -> None:
    """As ASGI has it: the head of a reply waits for the first part of its body, and so goes out with it."""
    sent = CHUNKED.replace(b"/first", b"/announced") + b"no chunk\r\n"
    assert replies_to(Told(), sent, count=2) == [b"HTTP/1.1 400 Bad Request"]


def test_the_end_of_a_head_is_looked_for_from_its_own_beginning() -> None:
    long = b"GET / HTTP/1.1\r\nhost: h\r\na: " + b"x" * 200 + b"\r\n\r\n"
    assert replies_to(Told(), long[:220], long[220:] + BEHIND, count=2) == [OK, OK]


def test_the_target_is_left_as_it_was_sent() -> None:
    app, targets = Told(), ["*", "http://other/livez", "//other/livez", "/a%2Fb%20c", "/a;b=c"]
    sent = b"".join(b"GET %b?q HTTP/1.1\r\nhost: h\r\n\r\n" % target.encode() for target in targets)
    assert replies_to(app, sent, count=5) == [OK] * 5
    assert [scope["raw_path"].decode() for scope in app.scopes] == targets
    assert app.paths == ["*", "http://other/livez", "//other/livez", "/a/b c", "/a;b=c"]
    assert {scope["query_string"] for scope in app.scopes} == {b"q"}
