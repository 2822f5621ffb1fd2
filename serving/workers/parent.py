"""The parent of workers: it holds the address, starts them, starts again what ends, and ends with all of them.

It answers no request and computes nothing. Workers lead sessions of their own, so that Ctrl-C reaches the parent alone,
which tells them to stop; and each ends when the parent does, however that happens.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import serving
from serving.binding import bound, share
from serving.config import ServingConfig
from serving.errors import WorkersEnded
from serving.logs import log_to_stderr
from serving.workers.frames import Frame, Kind
from serving.workers.hub import Hub, Line
from serving.workers.start import Start

_LOG = logging.getLogger("serving.workers")
_GRACE_SECONDS = 8.0  # beyond what requests may take, for all else that a worker does at its end
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between a worker's end and its next start
_LIVED_SECONDS = 60.0  # after which an end is the first again
_MOST_ENDS = 3  # of a worker in a row, none of which came to listen


def run_workers(config: ServingConfig, listening: Callable[[str], None] | None = None) -> None:
    """As `serving.process.run`, by several workers.

    Raises:
        WorkersEnded: a worker cannot begin, has ended again and again before it listened, or did not end when told to.
        OSError: the address cannot be listened on.
    """
    log_to_stderr()
    with bound(config) as taken, _folders(config) as (index_folder, private):
        share(taken)  # after the address was taken from everybody else
        changes = {"port": taken.getsockname()[1], "index_folder": index_folder}
        parent = _Parent(config.model_copy(update=changes), private, listening)
        asyncio.run(parent.run())
    _LOG.info("stopped")


@contextmanager
def _folders(config: ServingConfig) -> Iterator[tuple[Path, Path | None]]:
    """Where the vectors and indexes are that workers share, and what of it is to go with the server."""
    if config.index_folder is not None:
        yield config.index_folder, None
        return
    with tempfile.TemporaryDirectory(prefix="hearth-workers-", ignore_cleanup_errors=True) as private:
        yield Path(private), Path(private)


class _End(NamedTuple):
    """How a worker ended.

    was_refused: it said itself why it could not go on.
    """

    why: str
    had_listened: bool = False
    was_refused: bool = False


class _Parent:
    """The parent of one server's workers."""

    def __init__(self, config: ServingConfig, private: Path | None, listening: Callable[[str], None] | None) -> None:
        self._config, self._private, self._listening = config, private, listening
        self._hub = Hub(config.workers)
        self._running: dict[int, Process] = {}
        self._stopping = asyncio.Event()
        self._all_listened = False

    async def run(self) -> None:
        """Until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        keeping = [asyncio.create_task(self._keep(number)) for number in range(self._config.workers)]
        told = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait([told, *keeping], return_when=asyncio.FIRST_COMPLETED)
            for ended in done - {told}:
                ended.result()
        finally:
            if not self._stopping.is_set():
                self._stop(signal.SIGTERM)
            told.cancel()
            ended_well = await self._ended(keeping)
        if not ended_well:
            raise WorkersEnded("a worker did not end in time, and was killed")

    def _stop(self, number: signal.Signals) -> None:
        self._stopping.set()
        for process in self._running.values():
            _send(process, number)

    async def _ended(self, keeping: "list[asyncio.Task[None]]") -> bool:
        """Wait for the workers, which were told to stop; whether none had to be killed."""
        _, late = await asyncio.wait(keeping, timeout=self._config.drain_seconds + _GRACE_SECONDS)
        for number, process in self._running.items():
            _LOG.error("worker killed: it did not end in time", extra={"fields": {"worker": number}})
            _send(process, signal.SIGKILL)
        await asyncio.gather(*keeping, return_exceptions=True)
        return not late

    async def _keep(self, number: int) -> None:
        """Have that worker run until all stop."""
        wait, ends = _FIRST_WAIT / 2, 0
        while not self._stopping.is_set():
            began = time.monotonic()
            end = await self._run(number)
            if self._stopping.is_set():
                return
            ends = 0 if end.had_listened else ends + 1
            if end.was_refused and not self._all_listened:
                raise WorkersEnded(end.why)
            if ends >= _MOST_ENDS:
                raise WorkersEnded(f"worker {number} ended {ends} times in a row before it listened: {end.why}")
            wait = _FIRST_WAIT if time.monotonic() - began > _LIVED_SECONDS else min(2 * wait, _LONGEST_WAIT)
            fields = {"worker": number, "reason": end.why, "again_seconds": wait}
            _LOG.error("worker ended", extra={"fields": fields})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _run(self, number: int) -> _End:
        """Run that worker once."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await _started(number, theirs)
        except OSError as error:  # there is no memory, or no process, for one more
            ours.close()
            return _End(why=str(error))
        self._running[number] = process
        if self._stopping.is_set():
            _send(process, signal.SIGTERM)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        line = Line(number, writer)
        line.send(Frame(Kind.START, Start(self._config, number, self._private).written()))
        try:
            await self._hub.attend(line, reader, self._look)
            status = await process.wait()
        finally:
            del self._running[number]
        return _End(line.failure or _said(status), had_listened=bool(line.address), was_refused=bool(line.failure))

    def _look(self, line: Line) -> None:
        """A worker listens: perhaps all do now."""
        if self._all_listened or len(self._hub.addresses()) < self._config.workers:
            return
        self._all_listened = True
        _LOG.info("listening", extra={"fields": {"address": line.address, "workers": self._config.workers}})
        if self._listening is not None:
            self._listening(line.address)


async def _started(number: int, theirs: socket.socket) -> Process:
    """A worker's process, of the very modules that this one has, whatever lies in the working directory."""
    modules = str(Path(serving.__file__).parents[1])
    path = os.pathsep.join(filter(None, [modules, os.environ.get("PYTHONPATH")]))
    options = [f"-W{option}" for option in sys.warnoptions]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", *options, "-m", "serving.workers.worker", str(number)),
        stdin=theirs.fileno(),
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def _send(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def _said(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"it ended with status {status}"
