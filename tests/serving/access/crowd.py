"""A crowd: many clients at once, each of which asks again as soon as it has its reply, over connections of its own."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


def asking(body: bytes) -> bytes:
    """A request for a list, as it goes over the wire."""
    head = "POST /v1/placements/home:recommend HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


REQUEST = asking(b'{"k": 10}')


class Reply(NamedTuple):
    """One reply: when it was asked for, how long it took, its status and its head."""

    began: float
    seconds: float
    status: int
    head: bytes


class Crowd:
    """What the crowd has been answered, and who was not."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.unanswered: list[str] = []

    def seconds(self, status: int) -> list[float]:
        """How long replies of that status took, ascending."""
        return sorted(reply.seconds for reply in self.replies if reply.status == status)


async def crowd(
    address: tuple[str, int], clients: int, goes_on: Callable[[], bool], request: bytes = REQUEST, pause: float = 1.0
) -> Crowd:
    """Let so many clients ask until they may no more.

    A client whose connection the server has closed between two requests connects again; where nobody listens any
    more, it goes home. A request that was sent and not answered is noted. Who is refused waits for `pause` seconds.
    """
    found = Crowd()
    await asyncio.gather(*(_client(address, goes_on, request, pause, found) for _ in range(clients)))
    return found


async def _client(
    address: tuple[str, int], goes_on: Callable[[], bool], request: bytes, pause: float, found: Crowd
) -> None:
    while goes_on():
        try:
            reader, writer = await asyncio.open_connection(*address)
        except OSError:
            return
        try:
            while goes_on():
                if reader.at_eof():  # the server has said that it closes this one
                    break
                began = time.monotonic()
                try:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(_length(head))
                except (OSError, asyncio.IncompleteReadError) as error:
                    found.unanswered.append(repr(error))
                    break
                status = int(head[9:12])
                found.replies.append(Reply(began, time.monotonic() - began, status, head))
                if b"connection: close" in head.lower():
                    break
                await asyncio.sleep(0.0 if status == 200 else pause)
        finally:
            writer.close()


def _length(head: bytes) -> int:
    (line,) = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    return int(line.partition(b":")[2])


def percentile(ascending: Sequence[float], share: float) -> float:
    """The value that this share of them do not exceed."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
