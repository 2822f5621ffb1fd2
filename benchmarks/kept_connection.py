"""A client's connection that is kept open, with just as much HTTP as a benchmark needs: it shares the server's machine.

One request at a time, and bodies of a known length, as Hearth's server has them.
"""

import asyncio
import json


def posting(host: str, path: str, body: object) -> bytes:
    """The bytes of a POST with that body in JSON."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}"
    return f"{head}\r\n\r\n".encode() + content


class KeptConnection(asyncio.Protocol):
    """One connection that is kept open; one request at a time."""

    def __init__(self) -> None:
        self.is_open = True
        self._transport: asyncio.Transport | None = None
        self._got = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As `asyncio.Protocol` has it, and so the next two."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits for a reply is told."""
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed before the reply"))

    def data_received(self, data: bytes) -> None:
        """Once the reply is whole, whoever waits has it."""
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or self._answer is None:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if len(body) >= length and not self._answer.done():
            self._got = b""
            self._answer.set_result((int(lines[0].split()[1]), body))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the reply; raises `OSError`."""
        if self._transport is None or not self.is_open:
            raise ConnectionResetError("closed before the request")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()
