"""A proxy between a client and a redis-server: it counts round trips, loses what it is told to, and can speak TLS."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Literal

Fate = Literal["pass", "lose request", "lose reply", "late request"]
_CHUNK = 1 << 20


class RedisProxy:
    """Where clients connect to instead of the server.

    fates: of the next requests that hold a script, first come first served; later ones pass. The connection of a
        request that is lost, or whose reply is, is cut. A late request reaches the server after the connection of its
        client was cut.
    late_seconds: how late.
    lost: how many requests or replies were.
    trips: how many requests were answered, a pipeline counting as one.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.fates: list[Fate] = []
        self.late_seconds = 0.1
        self.trips = 0
        self.lost = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        replies = asyncio.create_task(self._pass_replies(to_reader, writer))
        try:
            with contextlib.suppress(ConnectionError):
                while request := await reader.read(_CHUNK):
                    is_script = b"\r\nEVAL" in request
                    fate = self.fates.pop(0) if is_script and self.fates else "pass"
                    if fate == "pass":
                        self.trips += 1
                        to_writer.write(request)
                        continue
                    replies.cancel()
                    await asyncio.wait([replies])
                    if fate == "late request":
                        writer.transport.abort()
                        await asyncio.sleep(self.late_seconds)
                    if fate != "lose request":
                        to_writer.write(request)
                        await to_reader.read(_CHUNK)  # the server has done it
                    self.lost += 1
                    return
        finally:
            writer.transport.abort()
            to_writer.transport.abort()
            replies.cancel()
            await asyncio.wait([replies])

    async def _pass_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while reply := await reader.read(_CHUNK):
                writer.write(reply)
        writer.transport.abort()


@contextlib.asynccontextmanager
async def running_proxy(server_port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[RedisProxy]:
    """A proxy to the server at that port of this machine, for the length of the block."""
    proxy = RedisProxy(server_port)
    connections: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
