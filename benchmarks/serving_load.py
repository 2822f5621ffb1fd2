"""A load of ready-made requests, in a process of its own, for rates at which the load's own work would be seen.

An open loop, as `benchmarks.open_load` is one: requests go out when they are due, at times that are independent of each
other (exponential gaps, of one seed), and what a reply took is counted from then. Here the bytes of all requests are
made before the first goes out, no request has a task of its own, and nothing of a reply is read but its status.
"""

import asyncio
import gc
import json
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.kept_connection import posting

ANSWERED = np.dtype([("due", "f8"), ("sent", "f8"), ("done", "f8"), ("status", "i2")])
"""One request: seconds of `time.monotonic`, and the status; 0 where there was no reply."""

_AT_ONCE = 4  # requests that are under way where the next goes out as soon as a reply is there
_PATIENCE = 10.0  # seconds for the last replies; what comes later has failed
_SETTLES = 0.05  # seconds in which connections that were closed meanwhile are noticed


class Asked(NamedTuple):
    """What is asked, again and again in this order, over so many connections.

    requests: path and body of each POST.
    """

    requests: Sequence[tuple[str, Mapping[str, Any]]]
    connections: int


class Load:
    """A process that asks when it is told to."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process, self._folder, self._run = process, folder, 0

    def run(self, rate: float | None, seconds: float) -> NDArray[Any]:
        """What became of the requests of so many seconds, of type `ANSWERED`, by when they were due.

        rate: requests a second; None asks again as soon as a reply is there, on a few of the connections.

        Raises:
            subprocess.CalledProcessError: the process ended.
        """
        self._run += 1
        file = self._folder / f"answers-{self._run}.npy"
        told, tells = self._process.stdin, self._process.stdout
        if told is None or tells is None:
            raise subprocess.CalledProcessError(self._process.wait(), self._process.args)
        told.write(json.dumps({"rate": rate, "seconds": seconds, "seed": self._run, "file": str(file)}) + "\n")
        told.flush()
        if not tells.readline():
            raise subprocess.CalledProcessError(self._process.wait(), self._process.args)
        answers: NDArray[Any] = np.load(file, allow_pickle=False)
        file.unlink()
        return answers


@contextmanager
def loading(address: str, asked: Asked, folder: Path) -> Iterator[Load]:
    """A load on the server at that address; gone after the block whatever happens."""
    file = folder / f"asked-{time.monotonic_ns()}.json"
    file.write_text(json.dumps(asked._asdict()))
    command = [sys.executable, "-m", "benchmarks.serving_load", address, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - a program of ours
        try:
            yield Load(process, folder)
        finally:
            process.kill()


class _Connection(asyncio.Protocol):
    """One connection that is kept open; one request at a time, which is known by its number."""

    def __init__(self, asking: "_Asking") -> None:
        self.is_open = True
        self.number: int | None = None  # of the request whose reply is waited for
        self._asking = asking
        self._transport: asyncio.Transport | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # whatever it was, there is no reply
        self.is_open = False
        self._answered(0)

    def data_received(self, data: bytes) -> None:
        self._got = got = self._got + data
        end = got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = got[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = 0 if at < 0 else int(head[at + 17 :].split(b"\r\n", 1)[0])
        if len(got) >= end + 4 + length:
            self._got = b""
            self._answered(int(got[9:12]))

    def ask(self, number: int, request: bytes) -> None:
        self.number = number
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _answered(self, status: int) -> None:
        if self.number is not None:
            number, self.number = self.number, None
            self._asking.answered(self, number, status)


class _Asking:
    """The requests of one run: when each was due, sent and answered."""

    def __init__(self, address: str, asked: Asked) -> None:
        place = urlsplit(address)
        self._host, self._port = place.hostname or "", place.port or 80
        self._requests = [posting(self._host, path, body) for path, body in asked.requests]
        self._most = asked.connections
        self._connections: list[_Connection] = []
        self._begin([])

    async def at_rate(self, rate: float, seconds: float, seed: int) -> NDArray[Any]:
        """Ask at that rate, and wait for the last replies."""
        await self._connect()
        gaps = np.random.default_rng(seed).exponential(1 / rate, max(1, round(rate * seconds)))
        self._begin((time.monotonic() + np.cumsum(gaps)).tolist())
        self._send_due()
        await self._ended(self._due[-1] - time.monotonic() + _PATIENCE)
        return self._answers(len(self._due))

    async def in_turn(self, seconds: float) -> NDArray[Any]:
        """Ask again as soon as a reply is there, on a few of the connections."""
        await self._connect()
        self._begin([])
        self._until = time.monotonic() + seconds
        for _ in range(min(_AT_ONCE, len(self._free))):
            self._again(self._free.popleft())
        await self._ended(seconds + _PATIENCE)
        return self._answers(len(self._due))

    def answered(self, connection: _Connection, number: int, status: int) -> None:
        """A reply has come, or never will."""
        self._done[number], self._status[number] = time.monotonic(), status
        self._left -= 1
        if connection.is_open:
            if self._waiting:
                self._ask(connection, self._waiting.popleft())
            elif time.monotonic() < self._until:
                self._again(connection)
            else:
                self._free.append(connection)
        if self._left == 0 and self._next == len(self._due):
            self._finished.set()

    def _begin(self, due: list[float]) -> None:
        self._due, self._next, self._left, self._until = due, 0, len(due), 0.0
        self._sent, self._done, self._status = [0.0] * len(due), [0.0] * len(due), [0] * len(due)
        self._waiting: deque[int] = deque()  # requests that are due, and for which no connection is free
        self._free = deque(one for one in self._connections if one.is_open)
        self._finished = asyncio.Event()

    def _send_due(self) -> None:
        """Send what is due, and come back when the next is."""
        now = time.monotonic()
        while self._next < len(self._due) and self._due[self._next] <= now:
            while self._free and not self._free[0].is_open:
                self._free.popleft()
            if self._free:
                self._ask(self._free.popleft(), self._next)
            else:
                self._waiting.append(self._next)
            self._next += 1
        if self._next < len(self._due):
            asyncio.get_running_loop().call_at(self._due[self._next], self._send_due)

    def _again(self, connection: _Connection) -> None:
        for kept in (self._due, self._sent, self._done):
            kept.append(time.monotonic())
        self._status.append(0)
        self._left += 1
        self._next += 1
        self._ask(connection, self._next - 1)

    def _ask(self, connection: _Connection, number: int) -> None:
        self._sent[number] = time.monotonic()
        connection.ask(number, self._requests[number % len(self._requests)])

    async def _connect(self) -> None:
        await asyncio.sleep(_SETTLES)
        loop = asyncio.get_running_loop()
        self._connections = [one for one in self._connections if one.is_open]
        while len(self._connections) < self._most:
            _, connection = await loop.create_connection(lambda: _Connection(self), self._host, self._port)
            self._connections.append(connection)

    async def _ended(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._finished.wait()
        except TimeoutError:  # what is unanswered has status 0; its connections are of no more use
            for connection in self._connections:
                if connection.number is not None:
                    connection.number = None
                    connection.close()

    def _answers(self, count: int) -> NDArray[Any]:
        ended = time.monotonic()
        answers = np.empty(count, ANSWERED)
        for name, column in (("due", self._due), ("sent", self._sent), ("done", self._done), ("status", self._status)):
            answers[name] = column
        for name in ("sent", "done"):
            answers[name][answers[name] == 0.0] = ended
        return answers


def main(address: str, file: str) -> None:
    """Ask as each line of stdin says, write what came of it into the file that it names, and print a line then."""
    gc.disable()  # its pauses would count as the server's
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        # select waits to the microsecond, epoll as Python has it to the millisecond
        asking = _Asking(address, Asked(**json.loads(Path(file).read_text())))
        for line in sys.stdin:
            told = json.loads(line)
            if told["rate"] is None:
                answers = runner.run(asking.in_turn(told["seconds"]))
            else:
                answers = runner.run(asking.at_rate(told["rate"], told["seconds"], told["seed"]))
            np.save(told["file"], answers, allow_pickle=False)
            gc.collect()
            print("answered", flush=True)  # noqa: T201 - to whoever started this process


if __name__ == "__main__":
    main(*sys.argv[1:])
