"""A glance into a SQLite file: one row by its key, read on the thread that asks, which is the event loop's.

To wake the file's own thread, and the loop after it, takes longer than to find a row. The log lets this connection read
while others write, and it waits for nobody: what the file's thread would have to wait for is left to that thread.
Decision 0024 has what a disk that hangs may cost.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TypeVar

from feature_store.sqlite_file import Operation, SQLiteFile, named_errors

Result = TypeVar("Result")

SLOW_SECONDS = 0.02  # a few pages out of the kernel's memory take a thousandth of it, from an SSD a tenth
PAUSE_SECONDS = 1.0  # in which the file's thread reads after that: so long, slow glances hold up others for a fiftieth


class Glance:
    """A connection to an open file that reads alone, for the thread that made it."""

    def __init__(self, file: SQLiteFile, connection: sqlite3.Connection, pause_seconds: float) -> None:
        self._file, self._connection, self._pause_seconds = file, connection, pause_seconds
        self._from = 0.0  # the time from which glances are taken

    async def read(self, operation: Operation[Result]) -> Result:
        """As `SQLiteFile.read`, of what was acknowledged so far: the operation does not wait for earlier ones.

        operation: finds one row by its key, in one statement, and no more. It may run twice: what this connection
            cannot read now (the file is held, a page cannot be had) the file's thread reads, or says why not.
        """
        if time.monotonic() >= self._from:
            with named_errors(self._file.path), self._timed():
                self._file.require_in_place()
                with suppress(sqlite3.OperationalError):
                    return operation(self._connection)
        return await self._file.read(operation)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            if ended - began > SLOW_SECONDS:
                self._from = ended + self._pause_seconds


@contextmanager
def glancing(file: SQLiteFile, pause_seconds: float = PAUSE_SECONDS) -> Iterator[Glance]:
    """Glances into a file, which closes after them; raises `StoreUnavailable` where there is no second way into it.

    pause_seconds: after a slow glance, until the next one.
    """
    with named_errors(file.path):
        address = f"{file.path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=0.0, isolation_level=None)
    with closing(connection):
        yield Glance(file, connection, pause_seconds)
