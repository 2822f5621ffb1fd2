"""A steady load, in a process of its own: requests go out when they are due, however late replies are (an open loop).

What a reply took is counted from when its request was due, and not from when it went out: a server that stands still
for a second is late for all who came in that second, and a client that waits for its reply before it asks again would
count one of them ("coordinated omission"). People come independently of each other, so that the times between
requests are exponential, of one seed.
"""

import asyncio
import gc
import json
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.kept_connection import KeptConnection, posting

REPLY = np.dtype([("due", "f8"), ("sent", "f8"), ("done", "f8"), ("status", "i2"), ("events", "?"), ("degraded", "?")])
"""One request: seconds of `time.monotonic`, the status (0 where there was no reply), whether it brought events, and
whether its reply said that something was missing."""

_PATIENCE = 30.0  # seconds for a reply; one that takes longer has failed
_SEEN = 2  # items of a list that a person sees
_CLICKS = 0.7  # of the lists that are told of
_REMEMBERED = 500  # replies that events can be about
_EXPECTED = {False: 200, True: 207}  # whether a request brings events -> its status


class LoadPlan(NamedTuple):
    """What is asked.

    rate: requests a second; None asks again as soon as a reply is there, on each of the connections.
    connections: that are open at the beginning; an open loop opens more where all are waiting.
    people: who ask, named person-0 and so on.
    events: share of requests that bring events: what was seen of an earlier reply, and sometimes a click.
    shunned: models whose items nobody clicks.
    """

    rate: float | None
    connections: int
    people: int
    events: float
    seed: int
    shunned: tuple[str, ...] = ()


class RunningLoad:
    """A load that goes on until it is ended."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self._process, self._file = process, file

    def end(self) -> NDArray[Any]:
        """What became of all requests, of type `REPLY`, by when they were due.

        Raises:
            subprocess.CalledProcessError: the process did not end well.
        """
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(2 * _PATIENCE)
        if status:
            raise subprocess.CalledProcessError(status, self._process.args)
        replies: NDArray[Any] = np.load(self._file, allow_pickle=False)
        return np.sort(replies, order="due")


@contextmanager
def running_load(address: str, plan: LoadPlan, folder: Path) -> Iterator[RunningLoad]:
    """A load on the server at that address, from the first request on; gone after the block whatever happens."""
    file = folder / f"load-{time.monotonic_ns()}.npy"
    command = [sys.executable, "-m", "benchmarks.open_load", address, json.dumps(plan._asdict()), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - a program of ours
        try:
            if process.stdout is not None:
                process.stdout.readline()  # it asks from now on
            yield RunningLoad(process, file)
        finally:
            process.kill()


def failed(replies: NDArray[Any]) -> NDArray[np.bool_]:
    """Which requests had any other status than they should have, or no reply."""
    wanted = np.where(replies["events"], _EXPECTED[True], _EXPECTED[False])
    result: NDArray[np.bool_] = replies["status"] != wanted
    return result


class _Seen(NamedTuple):
    person: str
    recommendation_id: str
    model_id: str
    item_ids: Sequence[str]


class _Asking:
    """The people who ask, what they were answered, and the connections they do it over."""

    def __init__(self, address: str, plan: LoadPlan) -> None:
        place = urlsplit(address)
        self._host, self._port = place.hostname or "", place.port or 80
        self._plan = plan
        self._random = np.random.default_rng(plan.seed)
        self._free: deque[KeptConnection] = deque()
        self._seen: deque[_Seen] = deque(maxlen=_REMEMBERED)
        self._told = 0
        self.replies: list[tuple[float, float, float, int, bool, bool]] = []

    async def connect(self) -> None:
        """Open the connections of the plan."""
        self._free.extend([await self._connected() for _ in range(self._plan.connections)])

    async def at_rate(self, rate: float, ended: asyncio.Event) -> None:
        """Ask at that rate until it is ended, and wait for what is under way."""
        due = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            while not ended.is_set():
                due += self._random.exponential(1 / rate)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                tasks.create_task(self.one(due))

    async def in_turn(self, ended: asyncio.Event) -> None:
        """Ask again as soon as the reply is there, until it is ended."""
        while not ended.is_set():
            await self.one(time.monotonic())

    async def one(self, due: float) -> None:
        """Ask once, and keep what came of it."""
        brings_events = bool(self._seen) and self._random.random() < self._plan.events
        person = f"person-{self._random.integers(self._plan.people)}"
        path, body = self._events() if brings_events else ("/v1/placements/home:recommend", {"user_id": person})
        status, degraded = 0, False
        sent = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                status, content = await self._asked(posting(self._host, path, body))
            if status == _EXPECTED[brings_events]:
                reply = json.loads(content)
                if brings_events:  # a batch says 207 whatever became of its events
                    status = max([status, *(one["status"] for one in reply["events"] if one["status"] >= 400)])
                else:
                    degraded = bool(reply["meta"]["degraded"])
                    ids = [item["item_id"] for item in reply["items"][:_SEEN]]
                    self._seen.append(_Seen(person, reply["recommendation_id"], reply["model_id"], ids))
        except (OSError, TimeoutError):
            status = 0
        self.replies.append((due, sent, time.monotonic(), status, brings_events, degraded))

    async def _asked(self, request: bytes) -> tuple[int, bytes]:
        connection = self._free.popleft() if self._free else await self._connected()
        while not connection.is_open and self._free:
            connection = self._free.popleft()
        if not connection.is_open:
            connection = await self._connected()
        answer = await connection.ask(request)
        self._free.append(connection)  # not one whose reply did not come
        return answer

    async def _connected(self) -> KeptConnection:
        _, connection = await asyncio.get_running_loop().create_connection(KeptConnection, self._host, self._port)
        return connection

    def close(self) -> None:
        """Close the connections that are free."""
        for connection in self._free:
            connection.close()

    def _events(self) -> tuple[str, dict[str, object]]:
        seen = self._seen[int(self._random.integers(len(self._seen)))]
        kinds = [("impression", item_id) for item_id in seen.item_ids]
        if seen.model_id not in self._plan.shunned and self._random.random() < _CLICKS:
            kinds.append(("click", seen.item_ids[0]))
        self._told += 1
        told = [
            {
                "event_id": f"{self._plan.seed}-{self._told}-{number}",
                "user_id": seen.person,
                "item_id": item_id,
                "event": kind,
                "recommendation_id": seen.recommendation_id,
            }
            for number, (kind, item_id) in enumerate(kinds)
        ]
        return "/v1/events", {"events": told}


async def _ask(address: str, plan: LoadPlan) -> NDArray[Any]:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    asking = _Asking(address, plan)
    await asking.connect()
    print("asking", flush=True)  # noqa: T201 - to whoever started this process
    if plan.rate is None:
        await asyncio.gather(*(asking.in_turn(ended) for _ in range(plan.connections)))
    else:
        await asking.at_rate(plan.rate, ended)
    asking.close()
    return np.array(asking.replies, REPLY)


def main(address: str, plan: str, file: str) -> None:
    """Ask until SIGTERM, and write what came of it, of type `REPLY`, into that file."""
    gc.disable()  # its pauses would count as the server's
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        # select waits to the microsecond, epoll as Python has it to the millisecond
        replies = runner.run(_ask(address, LoadPlan(**json.loads(plan))))
    np.save(file, replies, allow_pickle=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
