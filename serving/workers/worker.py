"""`python -m serving.workers.worker`, which a parent starts: one of the processes of a server.

Its stdin is a socket to the parent. Where the parent ends, however it does, the worker finishes what it has begun, as
after SIGTERM, and ends too.
"""

import asyncio
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import nullcontext

from feature_store.errors import HearthError
from serving.first_start import said_why
from serving.logs import log_to_stderr
from serving.workers.channel import Channel
from serving.workers.frames import Frame, Kind, read_frame
from serving.workers.start import Start

_GRACE_SECONDS = 10.0  # beyond what requests may take, for all else that a server does at its end


def main() -> int:
    """Serve until told to stop; 0 where that went well."""
    with socket.socket(fileno=os.dup(0)) as parent:
        started = _first(parent)
        if started is None:
            return 0  # the parent has ended meanwhile
        start = Start.read(started.content)
        threading.Thread(target=_end_with, args=(parent, start), name="parent", daemon=True).start()
        try:
            return _serve(parent, start)
        finally:
            if _has_ended(parent):
                _forget(start)


def _serve(parent: socket.socket, start: Start) -> int:
    log_to_stderr(start.number)
    with said_why() if start.number == 0 else nullcontext():  # all workers wait for the same
        from serving.server import run  # noqa: PLC0415 - it compiles, and shall end where the parent does
    with parent.dup() as mine:
        channel = Channel(mine, start.number, start.config.workers)
        try:
            run(start.config, channel.say_listening, channel)
        except (HearthError, OSError) as error:
            parent.settimeout(_GRACE_SECONDS)
            parent.sendall(Frame(Kind.FAILED, str(error).encode()).written())
            return 1
    return 0


def _first(parent: socket.socket) -> Frame | None:
    async def first() -> Frame | None:
        reader, writer = await asyncio.open_unix_connection(sock=parent.dup())
        try:
            return await read_frame(reader)
        finally:
            writer.close()

    return asyncio.run(first())


def _end_with(parent: socket.socket, start: Start) -> None:
    """Wait for the parent's end, and end then: well, or else by force."""
    while not _has_ended(parent, None):
        pass
    _forget(start)  # here too: as long as the server is beginning, the signal ends the process at once
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(start.config.drain_seconds + _GRACE_SECONDS)
    _forget(start)
    os._exit(1)


def _has_ended(parent: socket.socket, milliseconds: int | None = 0) -> bool:
    """Whether the parent has, or does within that time; None for any."""
    hung_up = select.poll()
    hung_up.register(parent, 0)  # for its end alone, which is always said
    return bool(hung_up.poll(milliseconds))


def _forget(start: Start) -> None:
    """Remove what the parent would have removed. What others have mapped stays in their memory."""
    if start.private is not None:
        shutil.rmtree(start.private, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
