"""Local stores in one SQLite file: for a device, and for a cell of one machine."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from feature_store.embedding import UserEmbedding
from feature_store.events import Event, History
from feature_store.export import exported_embeddings, exported_history
from feature_store.met import MetItems
from feature_store.sqlite_file import Schema, SQLiteFile, open_file
from feature_store.stores import KEPT_CHECKPOINTS, JsonObject, LocalStores

# Text is compared byte by byte, which for UTF-8 is by code point.
_OF_MET = "CREATE INDEX events_met ON events (user_id, item_id, sequence)"
_SCHEMA = Schema(
    application_id=0x48525448,  # "HRTH"
    version=2,
    statements=(
        # AUTOINCREMENT: the number of an event that was deleted is never given again, so that a watermark is not
        # either. The index of UNIQUE is also the way to the events of one person.
        """CREATE TABLE events (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            user_id TEXT NOT NULL,
            event_id TEXT NOT NULL,
            item_id TEXT NOT NULL,
            event TEXT NOT NULL,
            timestamp REAL NOT NULL,
            value REAL,
            UNIQUE (user_id, event_id)
        )""",
        """CREATE TABLE user_embeddings (
            user_id TEXT NOT NULL,
            checkpoint_id TEXT NOT NULL,
            watermark INTEGER NOT NULL,
            dim INTEGER NOT NULL,
            vector BLOB NOT NULL CHECK (length(vector) = 4 * dim),
            sequence INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (user_id, checkpoint_id)
        ) WITHOUT ROWID""",
        _OF_MET,
    ),
    migrations={1: (_OF_MET, "ALTER TABLE user_embeddings ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0")},
)
_INSERT_EVENT = (
    "INSERT INTO events (user_id, event_id, item_id, event, timestamp, value) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (user_id, event_id) DO NOTHING"
)
_DELETE_EVENTS = "DELETE FROM events WHERE user_id = ?"
_MET = "SELECT item_id, MAX(sequence) FROM events WHERE user_id = ? GROUP BY item_id ORDER BY item_id"
# The sequence says which of a person's embeddings were put last; those of a file of version 1 all have 0.
_PUT_EMBEDDING = (
    "INSERT OR REPLACE INTO user_embeddings (user_id, checkpoint_id, watermark, dim, vector, sequence) "
    "VALUES (?1, ?2, ?3, ?4, ?5, (SELECT COALESCE(MAX(sequence), 0) + 1 FROM user_embeddings WHERE user_id = ?1))"
)
_DELETE_EARLIER = (
    "DELETE FROM user_embeddings WHERE user_id = ?1 AND checkpoint_id NOT IN (SELECT checkpoint_id "
    "FROM user_embeddings WHERE user_id = ?1 ORDER BY sequence DESC, checkpoint_id DESC LIMIT ?2)"
)
_EMBEDDINGS = "SELECT checkpoint_id, watermark, vector FROM user_embeddings WHERE user_id = ?"
_USERS_AT_A_TIME = 1000
_LITTLE_ENDIAN = np.dtype("<f4")


@asynccontextmanager
async def open_sqlite(path: Path, busy_seconds: float = 5.0) -> AsyncIterator[LocalStores]:
    """The two stores of that file, which is made, for its owner's eyes only, where there is none.

        async with open_sqlite(Path("hearth.sqlite")) as stores:
            await stores.events.put([event])

    busy_seconds: how long an operation waits for another process that holds the file.

    Raises:
        StoreError: as `feature_store.sqlite_file.open_file`, and so does each method of the stores.
    """
    async with open_file(path, _SCHEMA, busy_seconds) as file:
        yield LocalStores(SQLiteEventStore(file), SQLiteUserEmbeddingStore(file))


class SQLiteEventStore:
    """Events in a table. What was acknowledged outlives the process and the machine."""

    def __init__(self, file: SQLiteFile) -> None:
        self._file = file

    async def put(self, events: Sequence[Event]) -> list[bool]:
        """See `EventStore.put`."""
        rows = [
            # float: an integer is as good a number, and may be larger than SQLite's integers
            (e.user_id, e.event_id, e.item_id, e.event, float(e.timestamp), None if e.value is None else float(e.value))
            for e in events
        ]

        def operation(connection: sqlite3.Connection) -> list[bool]:
            cursor = connection.cursor()
            return [cursor.execute(_INSERT_EVENT, row).rowcount == 1 for row in rows]

        return await self._file.write(operation)

    async def get(self, user_id: str) -> History:
        """See `EventStore.get`."""

        def operation(connection: sqlite3.Connection) -> History:
            rows = connection.execute(
                "SELECT event_id, item_id, event, timestamp, value, sequence FROM events WHERE user_id = ? "
                "ORDER BY timestamp, sequence",
                (user_id,),
            ).fetchall()
            events = tuple(Event(event_id, user_id, *rest) for event_id, *rest, _ in rows)
            return History(events, max((sequence for *_, sequence in rows), default=0))

        return await self._file.read(operation)

    async def met(self, user_id: str) -> MetItems:
        """See `EventStore.met`. Read from an index that holds all it takes, without the events."""

        def operation(connection: sqlite3.Connection) -> MetItems:
            rows = connection.execute(_MET, (user_id,)).fetchall()
            return MetItems(tuple(item_id for item_id, _ in rows), max((sequence for _, sequence in rows), default=0))

        return await self._file.read(operation)

    async def delete(self, user_id: str) -> int:
        """See `EventStore.delete`. The bytes of the events are gone from the file when it returns."""
        return await self._file.erase(lambda connection: connection.execute(_DELETE_EVENTS, (user_id,)).rowcount)

    async def export(self, user_id: str) -> JsonObject:
        """See `EventStore.export`."""
        return exported_history(user_id, await self.get(user_id))

    async def try_write(self) -> None:
        """See `EventStore.try_write`. The disk is written to: the pages of a row that came and went are new."""

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(_INSERT_EVENT, ("", "", "", "", 0.0, None))  # nobody's: an id has a character or more
            connection.execute(_DELETE_EVENTS, ("",))

        await self._file.write(operation)

    async def user_ids(self) -> AsyncIterator[str]:
        """See `EventStore.user_ids`. Some at a time: between two steps others may read and write."""
        last = ""  # an id has at least one character
        while user_ids := await self._user_ids_after(last):
            for user_id in user_ids:
                yield user_id
            last = user_ids[-1]

    async def _user_ids_after(self, last: str) -> list[str]:
        select = "SELECT DISTINCT user_id FROM events WHERE user_id > ? ORDER BY user_id LIMIT ?"
        rows = await self._file.read(lambda connection: connection.execute(select, (last, _USERS_AT_A_TIME)).fetchall())
        return [user_id for (user_id,) in rows]


class SQLiteUserEmbeddingStore:
    """Embeddings in a table, a vector as its little-endian float32 bytes."""

    def __init__(self, file: SQLiteFile) -> None:
        self._file = file

    async def put(self, user_id: str, embedding: UserEmbedding) -> None:
        """See `UserEmbeddingStore.put`."""
        vector = embedding.vector.astype(_LITTLE_ENDIAN).tobytes()
        row = (user_id, embedding.checkpoint_id, embedding.watermark, len(embedding.vector), vector)

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT_EMBEDDING, row)
            connection.execute(_DELETE_EARLIER, (user_id, KEPT_CHECKPOINTS))

        await self._file.write(operation)

    async def get(self, user_id: str, checkpoint_id: str) -> UserEmbedding | None:
        """See `UserEmbeddingStore.get`."""
        found = await self._select(f"{_EMBEDDINGS} AND checkpoint_id = ?", (user_id, checkpoint_id))
        return found[0] if found else None

    async def delete(self, user_id: str) -> int:
        """See `UserEmbeddingStore.delete`. The bytes of the vectors are gone from the file when it returns."""
        return await self._file.erase(
            lambda connection: connection.execute("DELETE FROM user_embeddings WHERE user_id = ?", (user_id,)).rowcount
        )

    async def export(self, user_id: str) -> JsonObject:
        """See `UserEmbeddingStore.export`."""
        return exported_embeddings(user_id, await self._select(_EMBEDDINGS, (user_id,)))

    async def _select(self, select: str, values: tuple[str, ...]) -> list[UserEmbedding]:
        rows = await self._file.read(lambda connection: connection.execute(select, values).fetchall())
        return [
            UserEmbedding(np.frombuffer(vector, dtype=_LITTLE_ENDIAN).astype(np.float32), checkpoint_id, watermark)
            for checkpoint_id, watermark, vector in rows
        ]
