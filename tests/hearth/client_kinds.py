"""Both clients, called in the same way, and a server of a few scripted replies."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self, TypeAlias

import pytest

from hearth.client import AsyncClient, Client

Connect: TypeAlias = Callable[..., AbstractContextManager[Any]]


class _Awaited:
    """An `AsyncClient` whose methods are waited for."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner, self._client = runner, client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *given, **named: self._runner.run(getattr(self._client, name)(*given, **named))


@contextmanager
def _asynchronous(address: str, **settings: Any) -> Iterator[Any]:
    with asyncio.Runner() as runner:

        async def opened() -> AsyncClient:
            return await AsyncClient(address, **settings).__aenter__()

        client = runner.run(opened())
        try:
            yield _Awaited(runner, client)
        finally:
            runner.run(client.__aexit__(None, None, None))


@pytest.fixture(params=[Client, _asynchronous], ids=["blocking", "asynchronous"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Connects a client of one kind, then of the other."""
    kind: Connect = request.param
    return kind


class Scripted:
    """A server that gives the next reply of its script to each request, and hangs up. requests: the first lines.

    at: when each came, in seconds of `time.monotonic`.
    """

    def __init__(self, replies: Sequence[bytes]) -> None:
        self._replies = replies
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[str] = []
        self.at: list[float] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        socket.create_connection(self._listening.getsockname()).close()  # with no request: it ends
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            accepted, _ = self._listening.accept()
            with accepted, accepted.makefile("rb") as sent:
                if not (first := sent.readline()):
                    return
                length = 0
                while (line := sent.readline().strip().lower()) != b"":
                    name, _, value = line.partition(b":")
                    length = int(value) if name == b"content-length" else length
                sent.read(length)
                self.at.append(time.monotonic())
                self.requests.append(first.decode().strip())
                accepted.sendall(self._replies[min(len(self.at), len(self._replies)) - 1])


def reply(status: int, body: bytes, **headers: str) -> bytes:
    """A reply over HTTP that is whole."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return (
        f"HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {len(body)}\r\n{''.join(lines)}\r\n".encode()
        + body
    )


def later(retry_after: str | None = None, status: int = 503) -> bytes:
    """What a server says that cannot now."""
    body = b'{"type": "/problems/overloaded", "title": "Overloaded", "status": %d, "detail": "Later."}' % status
    headers = {} if retry_after is None else {"retry_after": retry_after}
    return reply(status, body, content_type="application/problem+json", **headers)


VERSION = reply(200, b'{"hearth": "1", "model_id": null}')
HALF = VERSION[:-10]
"""A connection that breaks in the middle of a reply."""
