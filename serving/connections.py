"""What a client may hold of the server: how many connections there are, and how long each may keep us waiting.

uvicorn, which reads and writes HTTP here, has a limit for idle connections alone.
"""

import asyncio
import logging
import resource
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from serving.access.shedding import WHOLE_AT
from serving.config import ServingConfig
from serving.paced import PacedProtocol, Reading
from serving.problems import below_interface
from serving.trace import request_id

_LOG = logging.getLogger("serving.connections")
_OWN_FILES = 64  # that are no connection: log, database, checkpoints, and connections about to be refused
_GRACE_SECONDS = 2.0  # that a request which is still coming has once the server is told to stop
_HAS_REQUEST = frozenset({Reading.BODY, Reading.WHOLE})
_LAST_SECONDS = 0.25  # that a client which asks again and again has then for its next request

# asyncio accepts so many at a stretch before we see the first, and each is an open file; a refused one is closed
# three turns of the event loop later. Four times this stays below the files kept back.
ACCEPTED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections, and how long each may keep us waiting.

    connections: at most; one more is closed at once.
    header_seconds: from the first byte of a head, or from the beginning of the connection, to the head's end.
    body_seconds: for the rest of a body whose reply has gone, and for a client to take a reply.
    """

    connections: int
    header_seconds: float
    body_seconds: float


def limits_of(config: ServingConfig) -> Limits:
    """The configured limits, the connections no more than what the process may open, so that accepting never fails."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = config.max_connections
    if most != resource.RLIM_INFINITY and connections > most - _OWN_FILES:
        connections = max(1, most - _OWN_FILES)
        fields = {"max_connections": config.max_connections, "open_files": most, "allowed": connections}
        _LOG.warning("fewer connections than configured: the process may not open more", extra={"fields": fields})
    return Limits(connections, config.header_seconds, config.body_seconds)


def http_settings(
    app: ASGIApp,
    config: ServingConfig,
    stopping: asyncio.Event,
    unread_since: Callable[[], float],
    certificate: Callable[..., ssl.SSLContext] | None = None,
) -> Config:
    """How uvicorn reads and writes HTTP for that app.

    stopping, unread_since: see `protocol`.
    certificate: makes the context of TLS; None for HTTP in the clear.
    """
    return Config(
        app,
        lifespan="off",
        interface="asgi3",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here looks at who is connected, or by which scheme
        http=protocol(limits_of(config), stopping, unread_since),
        backlog=ACCEPTED_AT_ONCE,
        ssl_context_factory=certificate,
        timeout_keep_alive=config.keep_alive_seconds,
        timeout_graceful_shutdown=config.drain_seconds,
    )


def protocol(
    limits: Limits, stopping: asyncio.Event, unread_since: Callable[[], float] = time.monotonic
) -> type[PacedProtocol]:
    """Uvicorn's protocol of one connection, within the limits.

    stopping: set once the server is told to stop. uvicorn then closes the connections that it knows; one that asyncio
        was just accepting comes later, and would be waited for.
    unread_since: the earliest time at which what is read now may have come, in seconds of `time.monotonic`.
    """
    return type("_Limited", (_Connection,), {"limits": limits, "stopping": stopping, "arrivals": (unread_since,)})


class _Connection(PacedProtocol):
    """One connection. At most one deadline runs for what the client sends, and one for what it takes."""

    limits: ClassVar[Limits]
    stopping: ClassVar[asyncio.Event]
    arrivals: ClassVar[tuple[Callable[[], float]]]  # in a tuple: a function alone would become a method
    _sending: asyncio.TimerHandle | None = None
    _sending_what: str = ""
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn: a transport that is a socket's
        if len(self.connections) >= self.limits.connections:
            self.transport = transport  # connection_lost wants it
            transport.abort()
            return
        super().connection_made(transport)
        if self.stopping.is_set():
            self.shutdown()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect("", 0.0, self._give_up)
        self._taken()
        # uvicorn leaves its timer of idle connections running where the connection broke.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def read_on(self) -> None:
        super().read_on()
        if self.reading is Reading.WHOLE:
            self.scope["state"].setdefault(WHOLE_AT, self.arrivals[0]())
        if self._sending_what == "last" and self.reading in _HAS_REQUEST:
            self.end_with_reply()
            self._hurry()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch()

    def shutdown(self) -> None:
        """The server stops: what has come whole is answered, what is still coming has a moment, the rest is closed.

        A request may be on its way on a connection that looks idle. So that one has a moment too, and the reply to it,
        as to any other from now on, says that it is the last.
        """
        if self.reading is Reading.HEAD:
            self._expect("last", _LAST_SECONDS, self._close_idle)
            return
        if self.reading in _HAS_REQUEST and not self.cycle.response_complete:
            self.end_with_reply()
        super().shutdown()
        self._hurry()
        self._watch()

    def _hurry(self) -> None:
        if not self.transport.is_closing() and self.reading is Reading.BODY:
            self._expect("stop", _GRACE_SECONDS, self.transport.abort)

    def _close_idle(self) -> None:
        super().shutdown()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._take()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._taken()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 # uvicorn gives it; a problem has words of its own
        """Refuse what is no HTTP by a problem; then close."""
        reply = below_interface()
        headers = [*self.server_state.default_headers, *reply.raw_headers]
        headers += [(b"x-request-id", request_id([]).encode()), CLOSE_HEADER]
        fields = (b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"".join([STATUS_LINE[400], *fields, b"\r\n", reply.body]))
        self.transport.close()

    def _watch(self) -> None:
        """Let the deadline run that fits to what the client sends now."""
        if self.transport.is_closing():
            self._expect("", 0.0, self._give_up)
            self._take()  # closing waits for the client to take what was written
        elif self._sending_what == "last" and self.reading is Reading.HEAD:
            return
        elif self.reading is Reading.HEAD and self.timeout_keep_alive_task is None:
            self._expect("head", self.limits.header_seconds, self._give_up)
        elif self.reading is Reading.BODY and self.cycle.response_complete:
            self._expect("rest of a body", self.limits.body_seconds, self._give_up)
        elif self._sending_what != "stop" or self.reading is not Reading.BODY:
            self._expect("", 0.0, self._give_up)  # the app waits for a body by itself: it can say 408

    def _expect(self, what: str, seconds: float, otherwise: Callable[[], None]) -> None:
        """Begin a deadline, unless the same is running; the empty name ends it."""
        if what == self._sending_what:
            return
        if self._sending is not None:
            self._sending.cancel()
        self._sending = self.loop.call_later(seconds, otherwise) if what else None
        self._sending_what = what

    def _give_up(self) -> None:
        self.transport.close()
        self._watch()

    def _take(self) -> None:
        if self._taking is None:
            self._taking = self.loop.call_later(self.limits.body_seconds, self.transport.abort)

    def _taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
