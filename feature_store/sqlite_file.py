"""One SQLite file on a thread of its own: every operation is whole, and none blocks the event loop.

Erasing takes more than `DELETE`. `secure_delete` overwrites the rows that go, yet the write-ahead log still holds older
pages: so an erasure ends with emptying the log. What a killed process left undone of that is noted in the same
transaction as the deletion, and done at the next chance. A page
that was split earlier may still hold, in its unused part, a copy of a row that has gone since; `rewrite` ends that.

A file that is removed or replaced while it is open lives on, without a name, until it is closed: SQLite would go on
writing there, and all of it would be gone afterwards. So each operation first looks whether the names of the file
and of its log still lead to what is open.
"""

import asyncio
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from feature_store.durable import sync_folder
from feature_store.errors import CorruptStore, StoreError, StoreUnavailable, UnknownKey

Result = TypeVar("Result")
Operation = Callable[[sqlite3.Connection], Result]

_OF_ERASURE = "CREATE TABLE unfinished_erasure (once INTEGER PRIMARY KEY CHECK (once = 1))"


class Schema(NamedTuple):
    """What a file of ours holds.

    application_id: the number that tells our files from those of other programs (`PRAGMA application_id`).
    version: goes up with each change of the statements (`PRAGMA user_version`).
    statements: make the tables in an empty file.
    earlier: what to tell whoever comes with a file of an earlier version.
    """

    application_id: int
    version: int
    statements: Sequence[str]
    earlier: str


class _Opened(NamedTuple):
    """A connection, and where each file that it holds was found: path -> device and inode."""

    connection: sqlite3.Connection
    places: Mapping[Path, tuple[int, int]]


class SQLiteFile:
    """An open file. Its operations run one after another, in the order they were asked for.

    Each raises `StoreUnavailable` before it begins where the file or its log was removed or replaced since it was
    opened; that does not heal, and the file must be opened anew.
    """

    def __init__(self, path: Path, thread: ThreadPoolExecutor, opened: _Opened) -> None:
        self.path = path
        self._thread = thread
        self._connection, self._places = opened

    async def read(self, operation: Operation[Result]) -> Result:
        """Run the operation on the connection; raises `StoreUnavailable` or `CorruptStore`, naming the file."""
        return await self._run(lambda: operation(self._connection))

    async def write(self, operation: Operation[Result]) -> Result:
        """Run the operation in a transaction: when this returns all of it is on the disk, when it raises nothing."""

        def whole() -> Result:
            with _transaction(self._connection):
                return operation(self._connection)

        return await self._run(whole)

    async def erase(self, operation: Operation[Result]) -> Result:
        """Run an operation that removes something, as `write` does; its bytes are gone from the file and its log.

        Raises:
            StoreUnavailable: also where the rows are gone and yet another process, or a full disk, keeps their bytes
                from being overwritten; the next erasure or opening of the file goes on with it.
        """

        def whole() -> Result:
            with _transaction(self._connection):
                before = self._connection.total_changes
                result = operation(self._connection)
                if self._connection.total_changes != before:
                    self._connection.execute("INSERT OR IGNORE INTO unfinished_erasure VALUES (1)")
            _finish_erasure(self._connection)
            return result

        return await self._run(whole)

    async def rewrite(self) -> bool:
        """Write the whole file anew, so that it holds nothing but what can be read from it; True, as that is done.

        It takes as much memory as the file is large: the copy must not lie elsewhere on the disk.

        Raises:
            StoreUnavailable: also where another process keeps the old pages in the log; asking again goes on.
        """

        def whole() -> bool:
            self._connection.execute("INSERT OR IGNORE INTO unfinished_erasure VALUES (1)")
            self._connection.execute("VACUUM")
            _finish_erasure(self._connection)
            return True

        return await self._run(whole)

    def require_in_place(self) -> None:
        """Raise `StoreUnavailable` where the file or its log was removed or replaced since it was opened."""
        for path, place in self._places.items():
            _check_place(path, place)

    async def _run(self, work: Callable[[], Result]) -> Result:
        def in_its_place() -> Result:
            self.require_in_place()
            return work()

        with named_errors(self.path):
            return await asyncio.get_running_loop().run_in_executor(self._thread, in_its_place)


@asynccontextmanager
async def open_file(path: Path, schema: Schema, busy_seconds: float) -> AsyncIterator[SQLiteFile]:
    """Open the file, make it where there is none, and close it after the block.

    busy_seconds: how long an operation waits for another process that holds the file.

    Raises:
        StoreError: a later Hearth wrote it, or one so early that nothing leads on from it.
        CorruptStore: it is damaged, or no SQLite file, or one of another program.
        StoreUnavailable: it cannot be opened: no such folder, no permission, held by another process.
    """
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hearth-sqlite")
    opened = ExitStack()
    try:
        with named_errors(path):
            connected = await asyncio.get_running_loop().run_in_executor(
                thread, lambda: _connect(path, schema, busy_seconds, opened)
            )
        yield SQLiteFile(path, thread, connected)
    finally:
        closed = thread.submit(opened.close)  # behind all that was asked for, and even where this task is cancelled
        thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closed))


def _connect(path: Path, schema: Schema, busy_seconds: float, opened: ExitStack) -> _Opened:
    real = path.resolve()  # beside which SQLite puts the log, also where the path is a link
    if not real.exists():
        _create(real, schema)
    place = _place_of(path)  # taken first: were the file replaced before it is opened, each operation would say so
    connection = opened.enter_context(closing(_connection(real, busy_seconds)))
    _check(path, connection, schema)  # before anything in a file of another program is changed
    log = real.with_name(f"{real.name}-wal")
    for file in (real, log, real.with_name(f"{real.name}-shm")):
        with suppress(FileNotFoundError):
            file.chmod(0o600)
    connection.execute("PRAGMA temp_store = MEMORY")  # nothing is to lie in /tmp
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA synchronous = FULL")
    _finish_erasure(connection)  # it has read, so the log is there: SQLite makes it then, and keeps it until it closes
    return _Opened(connection, {path: place, log: _place_of(log)})


def _place_of(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _check_place(path: Path, place: tuple[int, int]) -> None:
    try:
        if _place_of(path) == place:
            return
    except FileNotFoundError:
        pass
    raise StoreUnavailable(f"{path} was removed or replaced while it was open; restart")


def _create(path: Path, schema: Schema) -> None:
    """Make the file aside and link it into its place: of many processes one is first, and none meets half a file."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # SQLite would let everyone read it
        with closing(_connection(draft, 0.0)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA application_id = {schema.application_id}")
            connection.execute(f"PRAGMA user_version = {schema.version}")
            for statement in (*schema.statements, _OF_ERASURE):
                connection.execute(statement)
        with suppress(FileExistsError):  # another process was first; its file is as good
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def _connection(path: Path, busy_seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(path.absolute(), timeout=busy_seconds, isolation_level=None)


def _check(path: Path, connection: sqlite3.Connection, schema: Schema) -> None:
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if application_id != schema.application_id:
        raise CorruptStore(
            f"the file is empty, or a database of another program: its application id is {application_id}, "
            f"that of a store of Hearth {schema.application_id}"
        )
    if version != schema.version:
        more = f": {schema.earlier}" if version < schema.version else ""
        raise StoreError(
            f"{path} has version {version} of the store's tables; this Hearth knows {schema.version}{more}"
        )


def _finish_erasure(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT 1 FROM unfinished_erasure").fetchone() is None:
        return
    [held, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if held:
        raise sqlite3.OperationalError("deleted, but another process holds the log in which the erased bytes stand")
    connection.execute("DELETE FROM unfinished_erasure")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back itself after some errors, such as a full disk
            connection.execute("ROLLBACK")
        raise


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Let what fails in the block fail with an error of ours that names the file."""
    try:
        yield
    except (CorruptStore, UnknownKey) as error:  # of a value in the file
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be opened as a store: {error.strerror}") from error
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(f"{path} cannot be read or written now: {error}") from error
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:
            raise  # a subclass tells of a mistake of ours, not of the file's bytes
        raise CorruptStore(f"{path} is damaged, or no SQLite database: {error}") from error
