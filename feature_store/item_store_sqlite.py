"""Items in one SQLite file, which several processes of a machine may share."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from feature_store.item_schemas import StoredItem, item_from_bytes, item_to_bytes
from feature_store.item_store import KEPT_REMOVALS, START, Changes, Mark, one_vertical_of, require_few, require_vertical
from feature_store.sqlite_file import Schema, SQLiteFile, open_file

_SCHEMA = Schema(
    application_id=0x48525449,  # "HRTI"
    version=1,
    statements=(
        # content is NULL for an item that was removed
        """CREATE TABLE items (
            vertical TEXT NOT NULL,
            item_id TEXT NOT NULL,
            version INTEGER NOT NULL,
            content BLOB,
            PRIMARY KEY (vertical, item_id)
        ) WITHOUT ROWID""",
        "CREATE UNIQUE INDEX items_changed ON items (vertical, version)",
        "CREATE INDEX items_removed ON items (vertical, version) WHERE content IS NULL",
        """CREATE TABLE verticals (
            vertical TEXT PRIMARY KEY,
            version INTEGER NOT NULL,
            floor INTEGER NOT NULL,
            items INTEGER NOT NULL,
            removals INTEGER NOT NULL
        ) WITHOUT ROWID""",
    ),
    earlier="there is none",
)
_STATE = "SELECT version, floor, items, removals FROM verticals WHERE vertical = ?"
_KEEP_STATE = "INSERT OR REPLACE INTO verticals VALUES (?, ?, ?, ?, ?)"
_CONTENT = "SELECT content FROM items WHERE vertical = ? AND item_id = ?"
_PUT = "INSERT OR REPLACE INTO items (vertical, item_id, version, content) VALUES (?, ?, ?, ?)"
_CHANGES = (
    "SELECT item_id, version, content IS NULL FROM items WHERE vertical = ? AND version > ? {} ORDER BY version LIMIT ?"
)
_FORGOTTEN = "SELECT version FROM items WHERE vertical = ? AND content IS NULL ORDER BY version LIMIT 1 OFFSET ?"


@asynccontextmanager
async def open_sqlite_items(
    path: Path, busy_seconds: float = 5.0, kept_removals: int = KEPT_REMOVALS
) -> AsyncIterator["SQLiteItemStore"]:
    """The items of that file, which is made where there is none.

    busy_seconds: how long an operation waits for another process that holds the file.

    Raises:
        StoreError: as `feature_store.sqlite_file.open_file`, and so does each method of the store.
    """
    async with open_file(path, _SCHEMA, busy_seconds) as file:
        yield SQLiteItemStore(file, kept_removals)


class SQLiteItemStore:
    """Items in a table. What was acknowledged outlives the process and the machine."""

    def __init__(self, file: SQLiteFile, kept_removals: int = KEPT_REMOVALS) -> None:
        self._file, self._kept_removals = file, kept_removals

    async def upsert(self, items: Sequence[StoredItem]) -> int:
        """See `ItemStore.upsert`."""
        if not items:
            return 0
        vertical = one_vertical_of(items)
        contents = {item.item_id: item_to_bytes(item) for item in items}

        def operation(connection: sqlite3.Connection) -> int:
            state = _State(connection, vertical)
            for item_id, content in contents.items():
                found = connection.execute(_CONTENT, (vertical, item_id)).fetchone()
                if found is None or found[0] != content:
                    state.put(item_id, content)
                    state.items += found is None or found[0] is None
                    state.removals -= found is not None and found[0] is None
            return state.kept()

        return await self._file.write(operation)

    async def get_many(self, vertical: str, item_ids: Sequence[str]) -> list[StoredItem | None]:
        """See `ItemStore.get_many`."""
        require_vertical(vertical)
        require_few(len(item_ids))

        def operation(connection: sqlite3.Connection) -> list[StoredItem | None]:
            with _snapshot(connection):
                found = [connection.execute(_CONTENT, (vertical, item_id)).fetchone() for item_id in item_ids]
            return [None if row is None or row[0] is None else item_from_bytes(row[0]) for row in found]

        return await self._file.read(operation)

    async def remove(self, vertical: str, item_ids: Sequence[str]) -> int:
        """See `ItemStore.remove`."""
        require_vertical(vertical)
        require_few(len(item_ids))

        def operation(connection: sqlite3.Connection) -> int:
            state = _State(connection, vertical)
            for item_id in dict.fromkeys(item_ids):
                found = connection.execute(_CONTENT, (vertical, item_id)).fetchone()
                if found is not None and found[0] is not None:
                    state.put(item_id, None)
                    state.items -= 1
                    state.removals += 1
            state.forget_removals(self._kept_removals)
            return state.kept()

        return await self._file.write(operation)

    async def count(self, vertical: str) -> int:
        """See `ItemStore.count`."""
        require_vertical(vertical)
        return await self._file.read(lambda connection: _State(connection, vertical).items)

    async def version(self, vertical: str) -> int:
        """See `ItemStore.version`."""
        require_vertical(vertical)
        return await self._file.read(lambda connection: _State(connection, vertical).version)

    async def changes_since(self, vertical: str, mark: Mark = START, most: int = 1000) -> Changes:
        """See `ItemStore.changes_since`. Read from an index by version."""
        require_vertical(vertical)

        def operation(connection: sqlite3.Connection) -> Changes:
            with _snapshot(connection):
                state = _State(connection, vertical)
                anew = mark.missed_removals(state.floor) or mark.version > state.version
                since = 0 if anew else mark.version
                select = _CHANGES.format("" if since else "AND content IS NOT NULL")
                later = connection.execute(select, (vertical, since, most + 1)).fetchall()
            page, more = later[:most], len(later) > most
            return Changes(
                mark=Mark(page[-1][1] if more else state.version, mark.floor if since else state.floor),
                changed=tuple(item_id for item_id, _, removed in page if not removed),
                removed=tuple(item_id for item_id, _, removed in page if removed),
                more=more,
                anew=anew,
            )

        return await self._file.read(operation)

    async def verticals(self) -> list[str]:
        """See `ItemStore.verticals`."""
        select = "SELECT vertical FROM verticals WHERE items > 0 ORDER BY vertical"
        rows = await self._file.read(lambda connection: connection.execute(select).fetchall())
        return [vertical for (vertical,) in rows]


class _State:
    """The numbers of one vertical, within one transaction."""

    __slots__ = ("_before", "_connection", "floor", "items", "removals", "version", "vertical")

    def __init__(self, connection: sqlite3.Connection, vertical: str) -> None:
        self._connection, self.vertical = connection, vertical
        found: tuple[int, int, int, int] | None = connection.execute(_STATE, (vertical,)).fetchone()
        self.version, self.floor, self.items, self.removals = found or (0, 0, 0, 0)
        self._before = self.version

    def put(self, item_id: str, content: bytes | None) -> None:
        self.version += 1
        self._connection.execute(_PUT, (self.vertical, item_id, self.version, content))

    def forget_removals(self, kept: int) -> None:
        if self.removals <= kept:
            return
        over = self.removals - kept
        [self.floor] = self._connection.execute(_FORGOTTEN, (self.vertical, over - 1)).fetchone()
        self._connection.execute(
            "DELETE FROM items WHERE vertical = ? AND content IS NULL AND version <= ?", (self.vertical, self.floor)
        )
        self.removals = kept

    def kept(self) -> int:
        """Keep the numbers where anything changed, and say how many items did."""
        changed: int = self.version - self._before
        if changed:
            row = (self.vertical, self.version, self.floor, self.items, self.removals)
            self._connection.execute(_KEEP_STATE, row)
        return changed


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """All reads of the block see the file as it is at the first of them."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
