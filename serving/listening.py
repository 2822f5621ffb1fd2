"""Listening: an app's requests are answered until the server is told to stop, and those under way to their end."""

import asyncio
import logging
import signal
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from serving.access.certificate import always_latest
from serving.config import ServingConfig
from serving.connections import http_settings
from serving.watched_file import WatchedFile

_LOG = logging.getLogger("serving.server")
_WAITING_CONNECTIONS = 2048  # that the kernel keeps for us until we accept them
_LAST_TRACES_SECONDS = 5.0  # that a receiver of traces which does not answer holds up the end, at most


async def listen(
    app: ASGIApp,
    taken: socket.socket,
    config: ServingConfig,
    certificate: WatchedFile[ssl.SSLContext] | None,
    listening: Callable[[str], None] | None,
    unread_since: Callable[[], float],
    finish: Callable[[float], Awaitable[None]] | None,
) -> None:
    """Answer requests until told to stop by a signal or by cancellation, then let those under way finish.

    Args:
        app: what answers.
        taken: the socket that has the address.
        config: of the server.
        certificate: whose latest value each connection is encrypted by; None for HTTP in the clear.
        listening: called with the address once requests are accepted.
        unread_since: see `serving.connections.protocol`.
        finish: what is left to do in the end, within so many seconds; None: nothing.
    """
    stopping = asyncio.Event()
    context = None if certificate is None else lambda *_: always_latest(lambda: certificate.value)
    settings = http_settings(app, config, stopping, unread_since, context)
    host, port = taken.getsockname()[:2]
    scheme = "http" if certificate is None else "https"
    address = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    whose = "worker " if config.workers > 1 else ""
    server = _Server(settings, address, stopping, listening, finish, whose)
    serving = asyncio.create_task(server.serve([taken]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
    _LOG.info(f"{whose}stopped")


class _Server(uvicorn.Server):
    """uvicorn's server, but for four things: it says when it listens, and a signal only makes it stop.

    uvicorn raises the signal once more after it has stopped, which ends the process before the stores are closed.
    Connections are told that it stops, those too that are accepted a moment later. And what is left to do after the
    last reply has what is left of the time to stop.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        address: str,
        stopping: asyncio.Event,
        listening: Callable[[str], None] | None,
        finish: Callable[[float], Awaitable[None]] | None,
        whose: str,
    ) -> None:
        super().__init__(config)
        self._address, self._stopping, self._listening, self._finish = address, stopping, listening, finish
        self._whose = whose
        self._drain_seconds = config.timeout_graceful_shutdown or 0

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        ends = time.monotonic() + self._drain_seconds
        await super().shutdown(sockets)
        if self._finish is not None:
            await self._finish(min(ends - time.monotonic(), _LAST_TRACES_SECONDS))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for taken in sockets or ():
            taken.listen(_WAITING_CONNECTIONS)  # again: to asyncio, the backlog is also how many it accepts at once
        _LOG.info(f"{self._whose}listening", extra={"fields": {"address": self._address}})
        if self._listening is not None:
            self._listening(self._address)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
