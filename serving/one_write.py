"""One write: the head of a reply goes out with the first part of its body.

Each write is a call of the kernel, and wakes the client. uvicorn writes the head as soon as the app has said it.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class OneWriteCycle(RequestResponseCycle):
    """uvicorn's cycle of one request and its reply, which begins when a part of the reply's body is there."""

    _head: Any = None

    async def send(self, message: Any) -> None:
        """As ASGI has it."""
        if message["type"] == "http.response.start" and not self.response_started and self.scope["method"] != "HEAD":
            self._head = message
        elif self._head is None:
            await super().send(message)
        else:
            head, self._head = self._head, None
            transport = self.transport
            self.transport = _Joined(transport)  # type: ignore[assignment] # it is as much of one as is asked here
            try:
                await super().send(head)
                await super().send(message)
            finally:
                self.transport = transport


class _Joined:
    """A transport that keeps the first of what is written for the second."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._kept = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        is_first = not self._kept
        self._kept += data
        if not is_first:
            self._transport.write(bytes(self._kept))
