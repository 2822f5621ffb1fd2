"""The social graph in one SQLite file, sealed."""

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from feature_store.encryption import KeyRing
from feature_store.index_secret_sqlite import HEADER_TABLE, reseal_sqlite_secret, sqlite_secret
from feature_store.social_graph import (
    HIDING,
    LISTS,
    OTHER_END,
    Relation,
    Tie,
    TieList,
    add_tie,
    drop_both,
    exported,
    newest_first,
)
from feature_store.social_graph_sealing import TieSealing
from feature_store.sqlite_file import Schema, SQLiteFile, open_file
from feature_store.stores import JsonObject
from feature_store.unreadable import Unreadable

_SCHEMA = Schema(
    application_id=0x48525447,  # "HRTG"
    version=1,
    statements=(
        HEADER_TABLE,
        """CREATE TABLE ties (
            person BLOB NOT NULL,
            list INTEGER NOT NULL,
            edge BLOB NOT NULL,
            sealed BLOB NOT NULL,
            PRIMARY KEY (person, list, edge)
        ) WITHOUT ROWID""",
    ),
    earlier="there is none",
)
_HAS = "SELECT 1 FROM ties WHERE person = ? AND list = ? AND edge = ?"
_DROP = "DELETE FROM ties WHERE person = ? AND list = ? AND edge = ?"
_RESEAL = "UPDATE ties SET sealed = ? WHERE person = ? AND list = ? AND edge = ?"
_SEALED_AT_A_TIME = 500


@asynccontextmanager
async def open_sqlite_graph(path: Path, keys: KeyRing, busy_seconds: float = 5.0) -> AsyncIterator["SQLiteSocialGraph"]:
    """The graph of that file, which is made where there is none; raises as `feature_store.sqlite_file.open_file`."""
    async with open_file(path, _SCHEMA, busy_seconds) as file:
        yield SQLiteSocialGraph(file, TieSealing(keys, await sqlite_secret(file, keys, "SELECT 1 FROM ties")))


class SQLiteSocialGraph:
    """Ties in a table, two rows each."""

    def __init__(self, file: SQLiteFile, sealing: TieSealing) -> None:
        self._file, self._sealing = file, sealing

    async def add(self, ties: Sequence[Tie]) -> list[bool]:
        """See `SocialGraph.add`. All of them or none."""

        def operation(connection: sqlite3.Connection) -> list[bool]:
            sides = _Rows(connection, self._sealing)
            return [add_tie(sides, tie) for tie in ties]

        return await self._file.write(operation)

    async def remove(self, ties: Sequence[Tie]) -> list[bool]:
        """See `SocialGraph.remove`. All of them or none."""

        def operation(connection: sqlite3.Connection) -> list[bool]:
            sides = _Rows(connection, self._sealing)
            return [drop_both(sides, tie.person, tie.kind, tie.other) for tie in ties]

        return await self._file.write(operation)

    async def follows(self, person: str, most: int = 1000) -> tuple[str, ...]:
        """See `SocialGraph.follows`."""
        return newest_first(await self._list(person, "follow"), most)

    async def friends(self, person: str, most: int = 1000) -> tuple[str, ...]:
        """See `SocialGraph.friends`."""
        return newest_first(await self._list(person, "friend"), most)

    async def hidden_from(self, person: str) -> frozenset[str]:
        """See `SocialGraph.hidden_from`."""
        lists = await self._file.read(lambda connection: _Rows(connection, self._sealing).lists(person, HIDING))
        return frozenset(other for times in lists.values() for other in times)

    async def relations(self, person: str, others: Sequence[str]) -> list[Relation]:
        """See `SocialGraph.relations`."""

        def operation(connection: sqlite3.Connection) -> list[Relation]:
            sides = _Rows(connection, self._sealing)
            return [_relation(sides.of(person, other)) for other in others]

        return await self._file.read(operation)

    async def erase(self, user_id: str) -> Mapping[TieList, int]:
        """See `SocialGraph.erase`. The bytes are gone from the file when it returns."""

        def operation(connection: sqlite3.Connection) -> Mapping[TieList, int]:
            sides = _Rows(connection, self._sealing)
            counts: dict[TieList, int] = dict.fromkeys(LISTS, 0)
            owner = self._sealing.person(user_id)
            select = "SELECT list, sealed FROM ties WHERE person = ?"
            for number, sealed in connection.execute(select, (owner,)).fetchall():
                name = LISTS[number]
                other = self._sealing.other_of(owner, name, sealed)
                if other is not None:
                    sides.drop(other, OTHER_END[name], user_id)
                counts[name] += 1
            connection.execute("DELETE FROM ties WHERE person = ?", (owner,))
            return counts

        return await self._file.erase(operation)

    async def delete(self, user_id: str) -> int:
        """See `SocialGraph.delete`."""
        return sum((await self.erase(user_id)).values())

    async def export(self, user_id: str) -> JsonObject:
        """See `SocialGraph.export`."""
        lists = await self._file.read(lambda connection: _Rows(connection, self._sealing).lists(user_id, LISTS))
        return exported(user_id, lists)

    async def finish_erasures(self) -> bool:
        """See `PlaceOfPeople.finish_erasures`."""
        return await self._file.rewrite()

    async def rotate(self) -> int:
        """See `SocialGraph.rotate`."""
        unreadable = Unreadable()
        sealed = await self._file.write(lambda connection: reseal_sqlite_secret(connection, self._sealing.keys))
        after: tuple[bytes, int, bytes] | None = (b"", -1, b"")
        while after is not None:
            after, some = await self._reseal_after(after, unreadable)
            sealed += some
        unreadable.tell(str(self._file.path), f"{sealed} values of ties were sealed anew")
        return sealed

    async def _reseal_after(
        self, after: tuple[bytes, int, bytes], unreadable: Unreadable
    ) -> tuple[tuple[bytes, int, bytes] | None, int]:
        """Some of the rows behind that one: the last of them, where there were any, and how many were sealed anew."""

        def operation(connection: sqlite3.Connection) -> tuple[tuple[bytes, int, bytes] | None, int]:
            rows = connection.execute(
                "SELECT person, list, edge, sealed FROM ties WHERE (person, list, edge) > (?, ?, ?) "
                "ORDER BY person, list, edge LIMIT ?",
                (*after, _SEALED_AT_A_TIME),
            ).fetchall()
            some = 0
            for person, number, edge, sealed in rows:
                with unreadable.left_out(person):
                    fresh = self._sealing.resealed(person, LISTS[number], sealed)
                    if fresh is not None:
                        connection.execute(_RESEAL, (fresh, person, number, edge))
                        some += 1
            return (rows[-1][:3] if rows else None), some

        return await self._file.write(operation)

    async def _list(self, person: str, name: TieList) -> Mapping[str, float]:
        return (await self._file.read(lambda connection: _Rows(connection, self._sealing).lists(person, (name,))))[name]


class _Rows:
    """The lists of people, within one operation."""

    def __init__(self, connection: sqlite3.Connection, sealing: TieSealing) -> None:
        self._connection, self._sealing = connection, sealing

    def has(self, person: str, name: TieList, other: str) -> bool:
        return self._connection.execute(_HAS, self._at(person, name, other)).fetchone() is not None

    def count(self, person: str, name: TieList) -> int:
        at = (self._sealing.person(person), LISTS.index(name))
        [number] = self._connection.execute("SELECT COUNT(*) FROM ties WHERE person = ? AND list = ?", at).fetchone()
        return int(number)

    def put(self, person: str, name: TieList, other: str, time: float) -> None:
        row = (*self._at(person, name, other), self._sealing.seal(person, name, other, time))
        self._connection.execute("INSERT OR REPLACE INTO ties VALUES (?, ?, ?, ?)", row)

    def drop(self, person: str, name: TieList, other: str) -> bool:
        return self._connection.execute(_DROP, self._at(person, name, other)).rowcount == 1

    def of(self, person: str, other: str) -> frozenset[TieList]:
        """Which of the person's lists the other is in."""
        return frozenset(name for name in ("follow", "friend", *HIDING) if self.has(person, name, other))

    def lists(self, person: str, names: Sequence[TieList]) -> dict[TieList, dict[str, float]]:
        """These lists of the person: other -> since when."""
        owner = self._sealing.person(person)
        select = "SELECT sealed FROM ties WHERE person = ? AND list = ?"
        return {
            name: dict(
                self._sealing.open(owner, name, sealed)
                for (sealed,) in self._connection.execute(select, (owner, LISTS.index(name)))
            )
            for name in names
        }

    def _at(self, person: str, name: TieList, other: str) -> tuple[bytes, int, bytes]:
        return self._sealing.person(person), LISTS.index(name), self._sealing.edge(person, other)


def _relation(names: frozenset[TieList]) -> Relation:
    return Relation("follow" in names, "friend" in names, hidden=not names.isdisjoint(HIDING))
