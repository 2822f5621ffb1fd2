"""What people did, in a SQLite file: of each person one row, sealed."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import NamedTuple

from feature_store.encryption import KeyRing, pseudonym
from feature_store.event_weights import EventWeights
from feature_store.events import Event, History, require_time
from feature_store.export import exported_record
from feature_store.history_limits import HistoryLimits
from feature_store.index_secret_sqlite import reseal_sqlite_secret
from feature_store.met import MetItems
from feature_store.person_bytes import log_from_bytes, log_to_bytes, met_from_bytes, met_to_bytes
from feature_store.person_record import PersonRecord, add, by_person, forget_before, met, new_token
from feature_store.sqlite_file import SQLiteFile
from feature_store.stores import Clock, JsonObject
from feature_store.unreadable import UNREADABLE, Unreadable

_PUT = (
    "INSERT INTO people (pseudonym, id, log, met) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT (pseudonym) DO UPDATE SET id = excluded.id, log = excluded.log, met = excluded.met"
)
_DELETE = "DELETE FROM people WHERE pseudonym = ?"
_SOME = "SELECT pseudonym, id, log, met FROM people WHERE pseudonym > ? ORDER BY pseudonym LIMIT ?"
_NAMES = (b"id", b"log", b"met")
_IDS_AT_A_TIME = 1000
_PEOPLE_AT_A_TIME = 200  # that one transaction goes through, of up to 20 kB each


class _Step(NamedTuple):
    """What one transaction of many did, and the last person it came to: b"" where there is nobody more."""

    done: int
    last: bytes


class SQLiteEventStore:
    """Records in a table. What was acknowledged outlives the process and the machine."""

    def __init__(
        self,
        file: SQLiteFile,
        keys: KeyRing,
        secret: bytes,
        limits: HistoryLimits,
        weights: EventWeights,
        clock: Clock,
    ) -> None:
        self._file, self._keys, self._secret = file, keys, secret
        self._limits, self._weights, self._clock = limits, weights, clock

    async def put(self, events: Sequence[Event]) -> list[bool]:
        """See `EventStore.put`. In one transaction: all are kept or none."""
        self._limits.require_past(events, self._clock())
        people = [(user_id, pseudonym(self._secret, user_id), at) for user_id, at in by_person(events).items()]

        def operation(connection: sqlite3.Connection) -> list[bool]:
            flags = [False] * len(events)
            for user_id, person, places in people:
                before = self._record(connection, user_id, person)
                theirs = [events[place] for place in places]
                record, new = add(before, theirs, self._limits, self._weights, new_token())
                if record is not before:
                    self._write(connection, person, record)
                for place, is_new in zip(places, new, strict=True):
                    flags[place] = is_new
            return flags

        return await self._file.write(operation)

    async def get(self, user_id: str) -> History:
        """See `EventStore.get`."""
        return (await self._read(user_id)).history

    async def met(self, user_id: str, since: float | None = None) -> MetItems:
        """See `EventStore.met`. Without a time it is read as it was written, without the events."""
        if since is not None:
            return met(await self._read(user_id), self._weights, since)
        return (await self.met_many([user_id]))[0]

    async def met_many(self, user_ids: Sequence[str]) -> list[MetItems]:
        """See `EventStore.met_many`."""
        people = [pseudonym(self._secret, user_id) for user_id in user_ids]

        def operation(connection: sqlite3.Connection) -> list[MetItems]:
            return [self._met(connection, person) for person in people]

        return await self._file.read(operation)

    def opened_met(self, person: bytes, sealed_met: bytes) -> MetItems:
        """What the person of that pseudonym has met, from the column `met` of the row."""
        return met_from_bytes(self._keys.open(person, b"met", sealed_met))

    async def delete(self, user_id: str) -> int:
        """See `EventStore.delete`. What cannot be opened is removed too, and counts as one thing.

        When it returns, neither the rows nor the log of the file hold what there was.
        """
        person = pseudonym(self._secret, user_id)

        def operation(connection: sqlite3.Connection) -> int:
            try:
                record = self._record(connection, user_id, person) or PersonRecord(user_id)
                held = len(record.events) + len(record.signals)
            except UNREADABLE:
                held = 1
            connection.execute(_DELETE, (person,))
            return held

        return await self._file.erase(operation)

    async def export(self, user_id: str) -> JsonObject:
        """See `EventStore.export`."""
        return exported_record(await self._read(user_id))

    async def forget_before(self, time: float) -> int:
        """See `EventStore.forget_before`. Some people at a time: between two steps others may read and write."""
        require_time("the time before which is forgotten", time)
        unreadable = Unreadable()
        gone, last = 0, b""
        while True:
            step = await self._file.erase(partial(self._forget_some, time=time, last=last, unreadable=unreadable))
            gone, last = gone + step.done, step.last
            if not last:
                unreadable.tell(str(self._file.path), f"{gone} events were forgotten")
                return gone

    async def try_write(self) -> None:
        """See `EventStore.try_write`. The disk is written to: the pages of a row that came and went are new."""

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO header VALUES ('try', x'')")
            connection.execute("DELETE FROM header WHERE name = 'try'")

        await self._file.write(operation)

    async def finish_erasures(self) -> bool:
        """See `PlaceOfPeople.finish_erasures`."""
        return await self._file.rewrite()

    async def rotate(self) -> int:
        """See `EventStore.rotate`. Some people at a time: between two steps others may read and write."""
        unreadable = Unreadable()
        sealed, last = await self._file.write(partial(reseal_sqlite_secret, keys=self._keys)), b""
        while True:
            step = await self._file.write(partial(self._rotate_some, last=last, unreadable=unreadable))
            sealed, last = sealed + step.done, step.last
            if not last:
                unreadable.tell(str(self._file.path), f"{sealed} values were sealed anew")
                return sealed

    async def user_ids(self) -> AsyncIterator[str]:
        """See `EventStore.user_ids`. Some at a time: between two steps others may read and write."""
        unreadable, last = Unreadable(), b""
        while rows := await self._ids_after(last):
            for person, sealed_id in rows:
                user_id = ""
                with unreadable.left_out(person):
                    user_id = self._id(person, sealed_id)
                if user_id:
                    yield user_id
            last = rows[-1][0]
        unreadable.tell(str(self._file.path), "everybody was named")

    def pseudonym(self, user_id: str) -> str:
        """See `EventStore.pseudonym`. The key of the person's rows."""
        return pseudonym(self._secret, user_id).hex()

    async def _read(self, user_id: str) -> PersonRecord:
        person = pseudonym(self._secret, user_id)
        found = await self._file.read(lambda connection: self._record(connection, user_id, person))
        return found or PersonRecord(user_id)

    async def _ids_after(self, last: bytes) -> list[tuple[bytes, bytes]]:
        select = "SELECT pseudonym, id FROM people WHERE pseudonym > ? ORDER BY pseudonym LIMIT ?"
        return await self._file.read(lambda connection: connection.execute(select, (last, _IDS_AT_A_TIME)).fetchall())

    def _record(self, connection: sqlite3.Connection, user_id: str, person: bytes) -> PersonRecord | None:
        found = connection.execute("SELECT log FROM people WHERE pseudonym = ?", (person,)).fetchone()
        return None if found is None else self._opened(user_id, person, found[0])

    def _met(self, connection: sqlite3.Connection, person: bytes) -> MetItems:
        row = connection.execute("SELECT met FROM people WHERE pseudonym = ?", (person,)).fetchone()
        return MetItems() if row is None else self.opened_met(person, row[0])

    def _opened(self, user_id: str, person: bytes, sealed_log: bytes) -> PersonRecord:
        return log_from_bytes(user_id, self._keys.open(person, b"log", sealed_log))

    def _id(self, person: bytes, sealed_id: bytes) -> str:
        return self._keys.open(person, b"id", sealed_id).decode()

    def _write(self, connection: sqlite3.Connection, person: bytes, record: PersonRecord) -> None:
        parts = (record.user_id.encode(), log_to_bytes(record), met_to_bytes(met(record, self._weights)))
        connection.execute(_PUT, (person, *map(self._keys.seal, [person] * 3, _NAMES, parts)))

    def _forget_some(self, connection: sqlite3.Connection, time: float, last: bytes, unreadable: Unreadable) -> _Step:
        rows, gone = connection.execute(_SOME, (last, _PEOPLE_AT_A_TIME)).fetchall(), 0
        for person, sealed_id, sealed_log, _ in rows:
            with unreadable.left_out(person):
                record = self._opened(self._id(person, sealed_id), person, sealed_log)
                gone += self._forget(connection, person, record, time)
        return _Step(gone, rows[-1][0] if rows else b"")

    def _forget(self, connection: sqlite3.Connection, person: bytes, record: PersonRecord, time: float) -> int:
        left = forget_before(record, time, new_token())
        if left.is_empty:
            connection.execute(_DELETE, (person,))
        elif left is not record:
            self._write(connection, person, left)
        return len(record.events) - len(left.events)

    def _rotate_some(self, connection: sqlite3.Connection, last: bytes, unreadable: Unreadable) -> _Step:
        rows, done = connection.execute(_SOME, (last, _PEOPLE_AT_A_TIME)).fetchall(), 0
        for person, *parts in rows:
            with unreadable.left_out(person):
                renewed = [resealed(self._keys, person, name, part) for name, part in zip(_NAMES, parts, strict=True)]
                changed = sum(new is not old for new, old in zip(renewed, parts, strict=True))
                if changed:
                    update = "UPDATE people SET id = ?, log = ?, met = ? WHERE pseudonym = ?"
                    connection.execute(update, (*renewed, person))
                done += changed
        return _Step(done, rows[-1][0] if rows else b"")


def resealed(keys: KeyRing, person: bytes, name: bytes, sealed: bytes) -> bytes:
    """The value sealed with the newest key; the same object where it is already."""
    if keys.key_id(sealed) == keys.newest:
        return sealed
    return keys.seal(person, name, keys.open(person, name, sealed))
