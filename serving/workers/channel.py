"""The channel: a worker's way to its siblings, through the parent.

What is told is kept for a moment and sent together: under load that is fifty frames a second, however many requests.
Where the parent is behind, what is told is dropped, as is what comes before the channel is open.
"""

import asyncio
import itertools
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from serving.workers.frames import Frame, Kind, read_frame
from serving.workers.siblings import Asked, Entry, Told

_LOG = logging.getLogger("serving.workers")
_TOLD_SECONDS = 0.02  # that something is kept to be sent with more
_AT_ONCE = 1000  # entries of a frame: siblings deal with one in about a millisecond, and requests have their turn
_MOST_WAITING = 1 << 22  # bytes on their way to the parent
_MOST_TOLD = 100_000  # entries that are kept for the moment
_ASK_SECONDS = 1.0  # that siblings have for an answer


class Channel:
    """Siblings, as a worker has them. It is used in one event loop; entries and answers are made there too.

    mine: this end of the socket that the parent holds the other end of.
    """

    def __init__(self, mine: socket.socket, number: int, count: int) -> None:
        self._mine, self._number, self._count = mine, number, count
        self._writer: asyncio.StreamWriter | None = None
        self._heard: dict[str, Callable[[Entry], None]] = {}
        self._answers: dict[str, Callable[[str], bytes]] = {}
        self._untold: list[tuple[Told, Entry]] = []
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Question] = {}

    @property
    def number(self) -> int:
        """Of this worker, from 0 on."""
        return self._number

    @property
    def count(self) -> int:
        """Of all workers, this one too."""
        return self._count

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Talk with the siblings, until the end of the block."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._mine)
        listening = asyncio.create_task(self._listen(reader))
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            writer, self._writer = self._writer, None
            writer.close()

    def hear(self, told: Told, heard: Callable[[Entry], None]) -> None:
        """Have what others tell of that dealt with."""
        self._heard[told] = heard

    def answer(self, asked: Asked, answer: Callable[[str], bytes]) -> None:
        """Have others answered who ask for that, of something."""
        self._answers[asked] = answer

    def tell(self, told: Told, entry: Entry) -> None:
        """Tell all others, in a moment."""
        if not self._untold:
            asyncio.get_running_loop().call_later(_TOLD_SECONDS, self._send_told)
        if len(self._untold) < _MOST_TOLD:
            self._untold.append((told, entry))

    async def ask(self, asked: Asked, of: str = "") -> Mapping[int, bytes]:
        """What each of the others says, by its number; one that says nothing within a second is missing."""
        with self._asking() as (number, question):
            self._send(Frame(Kind.ASK, json.dumps([asked, of]).encode(), number=number))
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    await question.answered.wait()
            except TimeoutError:
                pass  # those who have not answered are missing
        return {sibling: content for sibling, content in question.answers.items() if content}

    def say_listening(self, address: str) -> None:
        """Tell the parent that requests are accepted here."""
        self._send(Frame(Kind.LISTENS, address.encode()))

    def _send_told(self) -> None:
        untold, self._untold = self._untold, []
        for start in range(0, len(untold), _AT_ONCE):
            self._send(Frame(Kind.TELL, json.dumps(untold[start : start + _AT_ONCE]).encode()))

    def _send(self, frame: Frame) -> None:
        if self._writer is None or self._writer.transport.get_write_buffer_size() > _MOST_WAITING:
            return
        self._writer.write(frame.written())

    @contextmanager
    def _asking(self) -> "Iterator[tuple[int, _Question]]":
        number, question = next(self._numbers) % (1 << 32), _Question(self._count - 1)
        self._waiting[number] = question
        try:
            yield number, question
        finally:
            del self._waiting[number]

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (frame := await read_frame(reader)) is not None:
            try:
                self._take(frame)
            except Exception as error:  # noqa: BLE001 - whatever it is, what others say must not end a server
                fields = {"kind": frame.kind.name, "worker": frame.worker, "reason": type(error).__name__}
                _LOG.warning("a sibling was not understood", extra={"fields": fields})
            await asyncio.sleep(0)  # many may have come at once

    def _take(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.TELL:
                for told, entry in json.loads(frame.content):
                    self._heard[told](entry)
            case Kind.ASK:
                asked, of = json.loads(frame.content)
                self._send(Frame(Kind.ANSWER, self._answers[asked](of), frame.worker, frame.number))
            case Kind.ANSWER:
                question = self._waiting.get(frame.number)
                if question is not None:
                    question.take(frame.worker, frame.content)


class _Question:
    """One that siblings were asked, and what they have said so far.

    count: how many are asked.
    """

    def __init__(self, count: int) -> None:
        self.answers: dict[int, bytes] = {}
        self.answered = asyncio.Event()
        self._count = count

    def take(self, sibling: int, content: bytes) -> None:
        self.answers[sibling] = content
        if len(self.answers) == self._count:
            self.answered.set()
