"""Paced: what one connection sends is read request by request, and in so many pieces at a stretch.

One read may have a quarter of a megabyte: 10,000 requests in a row, or 40,000 chunks of one byte. Whoever sends that
would stand in everybody's way, with or without an API key. So the next request is not looked at before the reply to the
one before it has gone, and others have their turn between two stretches of a body.
"""

import asyncio
import re
from enum import Enum, auto
from typing import Any
from urllib.parse import unquote

from uvicorn import Config
from uvicorn.protocols.http.flow_control import CLOSE_HEADER, HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving.bodies import Body, body_of
from serving.heads import LARGEST_HEAD, Head, Malformed, read_head
from serving.one_write import OneWriteCycle

AT_A_STRETCH = 256  # pieces: a chunk of one byte is two of them. Half a millisecond
_END = re.compile(rb"\n\r?\n")  # of a head; one without CR ends it too, so that it is refused and not waited for


class Reading(Enum):
    """What a connection reads at present."""

    HEAD = auto()  # nothing has come of a request, or a part of its head
    BODY = auto()
    WHOLE = auto()  # nothing: the request has come, its reply has not gone
    BROKEN = auto()  # nothing any more: what came was no HTTP


class PacedProtocol(HttpToolsProtocol):
    """uvicorn's protocol of one connection, whose timers, replies and flow control stay what they are."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.reading = Reading.HEAD
        self._unread = bytearray()
        self._searched = 0  # bytes of it that hold no end of a head
        self._body: Body
        self._going_on: asyncio.Handle | None = None

    def data_received(self, data: bytes) -> None:
        """Read it, or as much as a stretch may have."""
        self._unset_keepalive_if_required()
        self._unread += data
        self.read_on()

    @property
    def _holds_back(self) -> bool:
        return self._going_on is not None

    def read_on(self) -> None:
        """Read what is there, for one stretch at most; the next comes by itself."""
        if self._holds_back:
            self.transport.pause_reading()
            return
        for _ in range(AT_A_STRETCH):
            if not self._read_piece():
                break
        else:
            self._go_on_soon()
        if self._unread and self.reading is Reading.WHOLE:
            self.flow.pause_reading()

    def on_response_complete(self) -> None:
        """The reply has gone: the next request may come, or has come already."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.reading is Reading.WHOLE:
            self.reading = Reading.HEAD
        if self._unread or self.reading is Reading.BODY:
            self._unset_keepalive_if_required()  # it is not idle
        if self._unread and not self._holds_back:
            self._go_on_soon()

    def end_with_reply(self) -> None:
        """Let the reply that is due say `connection: close`, as uvicorn does where the client has asked for that.

        uvicorn looks at the scope's headers when the reply begins; whoever has read them since, Starlette has given
        a list of their own, so that our `headers` may no longer be those.
        """
        self.cycle.keep_alive = False
        self.cycle.scope["headers"] = [*self.cycle.scope["headers"], CLOSE_HEADER]

    def _go_on_soon(self) -> None:
        self._going_on = self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._going_on = None
        if self.transport.is_closing():
            return
        self.read_on()
        if not (self._holds_back or self.flow.read_paused):
            self.transport.resume_reading()

    def _read_piece(self) -> bool:
        """Read one piece; False where there is none."""
        if not self._unread:
            return False
        try:
            if self.reading is Reading.HEAD:
                return self._read_head()
            if self.reading is Reading.BODY:
                self._read_body()
                return True
        except Malformed:
            self._refuse()
        return False

    def _read_head(self) -> bool:
        end = _END.search(self._unread, self._searched)
        size = len(self._unread) if end is None else end.end()
        if size > LARGEST_HEAD or self._unread[0] <= 0x20:  # TLS begins with 22, and would have no end
            raise Malformed("the head")
        if end is None:
            self._searched = max(0, size - 2)
            return False
        sent = bytes(self._unread[:size])
        del self._unread[:size]
        self._searched = 0
        self._begin(read_head(sent))
        return True

    def _begin(self, head: Head) -> None:
        path, _, query = head.target.partition(b"?")
        self.headers = head.headers
        self.scope = {
            "type": "http",
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.3"},
            "http_version": head.version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": head.method,
            "root_path": self.root_path,
            "path": self.root_path + unquote(path.decode("ascii")),
            "raw_path": self.root_path.encode("ascii") + path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        self.cycle = OneWriteCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=head.expects_continue,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        if not head.keeps_alive:
            self.end_with_reply()
        self._start_asgi_task(self.cycle, self.app)
        self.reading, self._body = Reading.BODY, body_of(head)
        self._end_if_whole()

    def _read_body(self) -> None:
        part = self._body.take(self._unread)
        if part and not self.cycle.response_complete:
            self.cycle.body += part
            if len(self.cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            self.cycle.message_event.set()
        self._end_if_whole()

    def _end_if_whole(self) -> None:
        if not self._body.is_whole:
            return
        if self.cycle.response_complete:
            self.reading = Reading.HEAD
            return
        self.reading = Reading.WHOLE
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def _refuse(self) -> None:
        """Say that it is no HTTP, where a reply can still begin; read no more of it."""
        message = "Invalid HTTP request received."
        self.logger.warning(message)
        is_between = self.reading is Reading.HEAD
        self.reading = Reading.BROKEN
        if is_between:
            self.send_400_response(message)
            return
        if self.cycle.response_started:
            self.transport.close()
        else:
            self.send_400_response(message)
        self.cycle.disconnected = True  # whoever waits for the rest waits no longer
        self.cycle.message_event.set()
