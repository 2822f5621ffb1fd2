"""The hub: where frames of workers meet. It passes them on, and waits for nobody.

A worker that is behind is told less: what it has not taken is kept up to a bound, and what is told beyond it is lost.
"""

import asyncio
import logging
from collections.abc import Callable

from feature_store.errors import BadInput
from serving.workers.frames import Frame, Kind, read_frame

_LOG = logging.getLogger("serving.workers")
_MOST_WAITING = 1 << 23  # bytes on their way to one worker


class Line:
    """The parent's end of one worker's socket.

    address: where it accepts requests; empty as long as it does not.
    failure: why it cannot begin; empty where it did not say so.
    """

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.number, self.address, self.failure = number, "", ""
        self._writer, self._is_behind = writer, False

    def send(self, frame: Frame) -> None:
        """Send a frame, unless it is behind; raises nothing: one that has ended takes nothing."""
        is_behind = self._writer.transport.get_write_buffer_size() > _MOST_WAITING
        if is_behind and not self._is_behind:
            _LOG.warning("a worker does not hear its siblings", extra={"fields": {"worker": self.number}})
        self._is_behind = is_behind
        if not is_behind:
            self._writer.write(frame.written())

    def close(self) -> None:
        """Nothing more is sent; the worker ends then, if it has not."""
        self._writer.close()


class Hub:
    """The lines of the workers that are there.

    count: how many there should be.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._lines: dict[int, Line] = {}

    def addresses(self) -> list[str]:
        """Of the workers that accept requests."""
        return [line.address for line in self._lines.values() if line.address]

    async def attend(self, line: Line, reader: asyncio.StreamReader, listens: Callable[[Line], None]) -> None:
        """Pass on what a worker says, until it ends; `listens` is called as soon as it accepts requests."""
        self._lines[line.number] = line
        try:
            while (frame := await read_frame(reader)) is not None:
                self._take(line, frame)
                if frame.kind is Kind.LISTENS:
                    listens(line)
        except BadInput:
            pass  # what it says is no frame of ours: its line is closed, and it ends
        finally:
            del self._lines[line.number]
            line.close()

    def _take(self, line: Line, frame: Frame) -> None:
        match frame.kind:
            case Kind.LISTENS:
                line.address = frame.content.decode()
            case Kind.FAILED:
                line.failure = frame.content.decode()
            case Kind.TELL:
                for other in self._lines.values():
                    if other is not line and other.address:
                        other.send(frame._replace(worker=line.number))
            case Kind.ASK:
                self._ask(line, frame)
            case Kind.ANSWER:
                if (asker := self._lines.get(frame.worker)) is not None:
                    asker.send(frame._replace(worker=line.number))

    def _ask(self, line: Line, frame: Frame) -> None:
        for number in range(self._count):
            other = self._lines.get(number)
            if number == line.number:
                continue
            if other is not None and other.address:
                other.send(frame._replace(worker=line.number))
            else:
                line.send(Frame(Kind.ANSWER, worker=number, number=frame.number))  # nobody is there to say anything
