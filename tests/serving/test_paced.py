"""A body in many small chunks is taken a few at a time, whole and in order, and others are answered between."""

import asyncio
from collections.abc import Awaitable, Callable

import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from serving.connections import Limits, protocol
from serving.paced import AT_A_STRETCH

LIMITS = Limits(connections=10, header_seconds=20.0, body_seconds=20.0)
HEAD = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Told:
    """An app that keeps what it was sent, in the pieces that it was given."""

    def __init__(self) -> None:
        self.bodies: list[list[bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pieces: list[bytes] = []
        self.bodies.append(pieces)
        message: Message = {"more_body": True}
        while scope["path"] != "/refused" and message.get("more_body", False):
            message = await receive()
            pieces.append(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


def chunks(body: bytes, size: int) -> bytes:
    parts = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


async def talk(app: Told, client: Client) -> None:
    """Let a client talk to the app over a socket, as the server would."""
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(app, lifespan="off", interface="asgi3", ws="none", log_config=None, access_log=False)
    made, state = protocol(LIMITS, asyncio.Event()), ServerState()
    async with await loop.create_server(lambda: made(config, state, {}), "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        await client(reader, writer)
        writer.close()
        await writer.wait_closed()
        while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn tells nobody when they are gone
            await asyncio.sleep(0)


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
