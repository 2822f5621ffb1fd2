"""What workers say to each other, with a hub between them as the parent has it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from serving.workers.channel import Channel
from serving.workers.frames import Frame, Kind
from serving.workers.hub import Hub, Line
from serving.workers.siblings import Entry

pytestmark = pytest.mark.anyio


class Family:
    """Workers of one server, in one process."""

    def __init__(self, count: int) -> None:
        self.hub, self.count = Hub(count), count
        self.heard: dict[int, list[Entry]] = {}

    @asynccontextmanager
    async def worker(self, number: int) -> AsyncIterator[Channel]:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        listens = asyncio.Event()
        attending = asyncio.create_task(self.hub.attend(Line(number, writer), reader, lambda _: listens.set()))
        channel = Channel(theirs, number, self.count)
        heard = self.heard[number] = []
        channel.hear("counts", heard.append)
        channel.answer("samples", lambda of: f"{number}{of}".encode())
        async with channel.joined():
            channel.say_listening("http://here")
            await listens.wait()
            yield channel
        await attending


@asynccontextmanager
async def family(count: int, there: int) -> AsyncIterator[tuple[Family, list[Channel]]]:
    made = Family(count)
    async with AsyncExitStack() as workers:
        yield made, [await workers.enter_async_context(made.worker(number)) for number in range(there)]


@asynccontextmanager
async def silent_third(made: Family) -> AsyncIterator[asyncio.StreamWriter]:
    """One beside workers 0 and 1 that listens, and then neither reads nor says anything; the hub's way to it."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    with theirs:
        attending = asyncio.create_task(made.hub.attend(Line(2, writer), reader, lambda _: None))
        theirs.sendall(Frame(Kind.LISTENS, b"http://here").written())
        await until(lambda: len(made.hub.addresses()) == 3)
        yield writer
    await attending


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what others hear sets no event
            await asyncio.sleep(0.01)


async def test_what_one_tells_all_others_hear_in_its_order_and_it_does_not() -> None:
    async with family(3, 3) as (made, workers):
        entries: list[Entry] = [[None, f"item-{number}", 1.0, 0.0] for number in range(2500)]
        for entry in entries:
            workers[1].tell("counts", entry)
        await until(lambda: made.heard[0] == entries and made.heard[2] == entries)
        assert made.heard[1] == []


async def test_whoever_is_asked_answers_and_who_is_not_there_keeps_nobody_waiting() -> None:
    async with family(4, 3) as (_, workers), asyncio.timeout(0.9):
        assert await workers[1].ask("samples", "!") == {0: b"0!", 2: b"2!"}
        both = list(await asyncio.gather(workers[0].ask("samples", "a"), workers[0].ask("samples", "b")))
        assert both == [{1: b"1a", 2: b"2a"}, {1: b"1b", 2: b"2b"}]


async def test_one_that_does_not_answer_is_missing_after_a_second() -> None:
    async with family(3, 2) as (made, workers), silent_third(made):
        assert await workers[0].ask("samples") == {1: b"1"}


async def test_what_is_told_to_one_that_takes_nothing_is_lost_and_nobody_waits() -> None:
    """Of 100 megabytes what fits is kept; all others hear all of it."""
    async with family(3, 2) as (made, workers), silent_third(made) as writer:
        for _ in range(100):
            told = len(made.heard[1]) + 10
            for _ in range(10):
                workers[0].tell("counts", ["x" * 100_000])
            await until(lambda: len(made.heard[1]) == told)  # noqa: B023 - called in this round
        assert writer.transport.get_write_buffer_size() < 12_000_000


async def test_what_cannot_be_understood_is_passed_over() -> None:
    async with family(2, 2) as (made, workers):
        workers[0].tell("joined", ["nobody", "hears", "this"])
        await asyncio.sleep(0.05)
        workers[0].tell("counts", ["this"])
        await until(lambda: made.heard[1] == [["this"]])


async def test_a_line_with_something_else_on_it_ends() -> None:
    made = Family(2)
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    with theirs:
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(5):
            await made.hub.attend(Line(0, writer), reader, lambda _: None)
    assert made.hub.addresses() == []
