"""A body in many small chunks is taken a few at a time, whole and in order, and others are answered between."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.heads import LARGEST_HEAD
from serving.paced import AT_A_STRETCH
from tests.serving.talking import Told, replies_to, talk

HEAD = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"


def chunks(body: bytes, size: int) -> bytes:
    parts = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


async def reply(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head[:13] + await reader.readexactly(2)


@given(
    st.lists(st.tuples(st.binary(max_size=3 * AT_A_STRETCH), st.integers(1, 7), st.booleans()), min_size=1, max_size=4)
)
def test_whatever_the_chunks_each_request_of_a_connection_is_answered_and_has_its_body(
    sent: list[tuple[bytes, int, bool]],
) -> None:
    app = Told()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads = (HEAD.replace(b" / ", b" /refused ") if refused else HEAD for _, _, refused in sent)
        writer.write(b"".join(head + chunks(body, size) for head, (body, size, _) in zip(heads, sent, strict=True)))
        for _ in sent:
            assert await reply(reader) == b"HTTP/1.1 200 ok"

    asyncio.run(talk(app, client))
    assert [b"".join(pieces) for pieces in app.bodies] == [b"" if refused else body for body, _, refused in sent]


def test_the_app_has_its_turn_again_and_again_while_ten_thousand_chunks_are_taken() -> None:
    app, body = Told(), bytes(range(250)) * 40

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunks(body, 1))
        assert await reply(reader) == b"HTTP/1.1 200 ok"

    asyncio.run(talk(app, client))
    [pieces] = app.bodies
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= 2 * AT_A_STRETCH  # one stretch, or two where the app was late


def test_a_body_of_many_reads_is_taken_to_its_end() -> None:
    app, body = Told(), bytes(250_000)
    assert replies_to(app, HEAD + chunks(body, 1), HEAD + chunks(b"next", 1), count=2) == [b"HTTP/1.1 200 OK"] * 2
    assert [b"".join(pieces) for pieces in app.bodies] == [body, b"next"]


@pytest.mark.parametrize("framing", [b"content-length: 300000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n493e0\r\n"])
def test_the_rest_of_a_large_body_is_dropped_and_the_next_request_answered(framing: bytes) -> None:
    app, head = Told(), b"POST /refused HTTP/1.1\r\nhost: h\r\n" + framing
    end = b"" if b"length" in framing else b"\r\n0\r\n\r\n"
    parts = [head, *[bytes(50_000)] * 6, end + HEAD + chunks(b"next", 1)]
    assert replies_to(app, *parts, count=2) == [b"HTTP/1.1 200 OK"] * 2
    assert app.bodies[0] == []
    assert b"".join(app.bodies[1]) == b"next"


def test_the_next_request_is_not_looked_at_before_the_reply_to_the_one_before_it() -> None:
    """Of 500 requests that come as one read the app has one at a time, and others have their turn between two."""
    app = Told()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n" * 500)
        before = 0
        while len(app.scopes) < 500:
            await asyncio.sleep(0)
            assert len(app.scopes) - before <= 1
            before = len(app.scopes)
        for _ in range(500):
            assert await reply(reader) == b"HTTP/1.1 200 ok"

    asyncio.run(talk(app, client))
    assert len(app.scopes) == 500


@pytest.mark.parametrize("first", [20_000, 9_000])
def test_a_head_may_have_sixteen_kibibytes_and_no_more(first: int) -> None:
    def sent(size: int) -> list[bytes]:
        head = b"GET / HTTP/1.1\r\nhost: h\r\na: \r\n\r\n"
        head = head.replace(b"a: ", b"a: " + b"x" * (size - len(head)))
        return [part for part in (head[:first], head[first:]) if part]

    assert replies_to(Told(), *sent(LARGEST_HEAD), count=1) == [b"HTTP/1.1 200 OK"]
    assert replies_to(Told(), *sent(LARGEST_HEAD + 1), count=1) == [b"HTTP/1.1 400 Bad Request"]


def test_a_head_without_an_end_is_refused_once_it_is_too_long() -> None:
    app = Told()
    assert replies_to(app, b"GET / HTTP/1.1\r\na: " + b"x" * LARGEST_HEAD, count=1) == [b"HTTP/1.1 400 Bad Request"]
    assert app.scopes == []


@pytest.mark.parametrize(
    "endless", [b"1;" + b"x" * LARGEST_HEAD, b"0\r\n" + b"a: b\r\n" * 4000, b"0" * 2 * LARGEST_HEAD], ids=len
)
def test_what_lies_between_two_bytes_of_a_body_has_an_end(endless: bytes) -> None:
    app = Told()
    assert replies_to(app, HEAD, endless, count=1) == [b"HTTP/1.1 400 Bad Request"]
    assert app.bodies == [[]]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /late HTTP/1.1\r\nhost: h\r\n\r\n" * 2_000_000,
        HEAD.replace(b" / ", b" /refused ") + b"1\r\na\r\n" * 10_000_000,
        HEAD.replace(b" / ", b" /late ") + b"4000000\r\n" + bytes(60_000_000),
    ],
    ids=["requests", "rest of a body", "body"],
)
def test_what_is_not_read_yet_waits_with_the_client(sent: bytes) -> None:
    """Of 60 megabytes what fits into the buffers of two sockets has left the client, and a little of ours."""
    left = 0

    async def client(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        writer.write(sent)
        await asyncio.sleep(0.5)
        left = len(sent) - writer.transport.get_write_buffer_size()
        writer.transport.abort()

    asyncio.run(talk(Told(), client))
    assert left < 20_000_000
