"""A client and an app, with our side of HTTP over a socket between them."""

import asyncio
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from serving.connections import Limits, protocol

LIMITS = Limits(connections=10, header_seconds=20.0, body_seconds=20.0)

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Told:
    """An app that keeps what it was sent, bodies in the pieces that it was given.

    It answers `/refused` unread, looks at `/late` late, and begins with its reply to `/begun` before it has the body;
    that to `/announced` it only announces before.
    """

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[list[bytes]] = []

    @property
    def paths(self) -> list[str]:
        return [scope["path"] for scope in self.scopes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pieces: list[bytes] = []
        self.scopes.append(scope)
        self.bodies.append(pieces)
        message: Message = {"more_body": True}
        if scope["path"] == "/late":
            await asyncio.sleep(0.7)
        start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
        if scope["path"] in {"/announced", "/begun"}:
            await send(start)
        if scope["path"] == "/begun":
            await send({"type": "http.response.body", "body": b"o", "more_body": True})
        while scope["path"] != "/refused" and message.get("more_body", False):
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            pieces.append(message["body"])
        if scope["path"] not in {"/announced", "/begun"}:
            await send(start)
        await send({"type": "http.response.body", "body": b"k" if scope["path"] == "/begun" else b"ok"})


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


def replies_to(app: Told, *sent: bytes, count: int) -> list[bytes]:
    """The first lines of `heads_of_replies`."""
    return [head.partition(b"\r\n")[0] for head in heads_of_replies(app, *sent, count=count)]


def heads_of_replies(app: Told, *sent: bytes, count: int) -> list[bytes]:
    """The heads of so many replies to these parts, sent one after another; fewer where the connection ends before."""
    heads: list[bytes] = []

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in sent:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.005 if len(sent) > 1 else 0)
        try:
            for _ in range(count):
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                heads.append(head)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass

    asyncio.run(talk(app, client))
    return heads
