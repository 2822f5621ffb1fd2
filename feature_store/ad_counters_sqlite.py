"""Counters of ads in one SQLite file: each decision is a transaction that nobody else writes in."""

import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, tzinfo
from pathlib import Path

from feature_store.ad_counters import (
    Budget,
    Cap,
    Clock,
    OneShow,
    Show,
    Spend,
    Spent,
    bounds,
    day_of,
    days_known,
    exported,
    require_show,
    require_spend,
)
from feature_store.ad_counters_sealing import ShowSealing
from feature_store.encryption import KeyRing
from feature_store.index_secret_sqlite import HEADER_TABLE, reseal_sqlite_secret, sqlite_secret
from feature_store.sqlite_file import Schema, SQLiteFile, open_file
from feature_store.stores import JsonObject
from feature_store.unreadable import UNREADABLE, Unreadable

_SCHEMA = Schema(
    application_id=0x48525443,  # "HRTC"
    version=1,
    statements=(
        HEADER_TABLE,
        "CREATE TABLE totals (campaign TEXT PRIMARY KEY, micros INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TABLE days (
            day TEXT NOT NULL, campaign TEXT NOT NULL, micros INTEGER NOT NULL, PRIMARY KEY (day, campaign)
        ) WITHOUT ROWID""",
        # micros is 0 where it was refunded
        """CREATE TABLE costs (
            day TEXT NOT NULL, campaign TEXT NOT NULL, impression TEXT NOT NULL, micros INTEGER NOT NULL,
            PRIMARY KEY (day, campaign, impression)
        ) WITHOUT ROWID""",
        # forgotten: the day (since 1970) after which the show counts no more; its times are sealed
        """CREATE TABLE shows (
            person BLOB NOT NULL, ad BLOB NOT NULL, impression BLOB NOT NULL, forgotten INTEGER NOT NULL,
            sealed BLOB NOT NULL, PRIMARY KEY (person, ad, impression)
        ) WITHOUT ROWID""",
        "CREATE INDEX shows_forgotten ON shows (forgotten)",
    ),
    earlier="there is none",
)
_SEALED_AT_A_TIME = 500


@asynccontextmanager
async def open_sqlite_counters(
    path: Path, keys: KeyRing, *, clock: Clock = time.time, zone: tzinfo = UTC, busy_seconds: float = 5.0
) -> AsyncIterator["SQLiteAdCounters"]:
    """The counters of that file, which is made where there is none; raises as `feature_store.sqlite_file.open_file`.

    clock, zone: what time it is, and where a day begins; the same for all who share the file.
    """
    async with open_file(path, _SCHEMA, busy_seconds) as file:
        yield SQLiteAdCounters(
            file, ShowSealing(keys, await sqlite_secret(file, keys, "SELECT 1 FROM shows")), clock, zone
        )


class SQLiteAdCounters:
    """Counters in tables. What was acknowledged outlives the process and the machine."""

    def __init__(self, file: SQLiteFile, sealing: ShowSealing, clock: Clock, zone: tzinfo) -> None:
        self._file, self._sealing = file, sealing
        self._clock, self._zone = clock, zone
        self._forgot = ("", -1)  # the days on which the old was last removed

    async def try_spend(self, campaign: str, impression_id: str, micros: int, budget: Budget) -> Spend:
        """See `AdCounters.try_spend`."""
        require_spend(campaign, impression_id, micros)

        def operation(connection: sqlite3.Connection) -> Spend:
            today = day_of(self._clock(), self._zone)
            self._forget(connection, today)
            spent = _spent(connection, campaign, today)
            for day in days_known(today):
                found = connection.execute(
                    "SELECT micros FROM costs WHERE day = ? AND campaign = ? AND impression = ?",
                    (day, campaign, impression_id),
                ).fetchone()
                if found is not None:
                    return Spend(found[0] > 0, "known" if found[0] else "refunded", *spent)
            total, daily = bounds(budget)
            if spent.total + micros > total:
                return Spend(counted=False, reason="total-budget", total=spent.total, today=spent.today)
            if spent.today + micros > daily:
                return Spend(counted=False, reason="daily-budget", total=spent.total, today=spent.today)
            _add(connection, campaign, today, micros)
            connection.execute("INSERT INTO costs VALUES (?, ?, ?, ?)", (today, campaign, impression_id, micros))
            return Spend(counted=True, reason="new", total=spent.total + micros, today=spent.today + micros)

        return await self._file.write(operation)

    async def refund(self, campaign: str, impression_id: str) -> int:
        """See `AdCounters.refund`."""

        def operation(connection: sqlite3.Connection) -> int:
            for day in days_known(day_of(self._clock(), self._zone)):
                at = (day, campaign, impression_id)
                found = connection.execute(
                    "SELECT micros FROM costs WHERE day = ? AND campaign = ? AND impression = ?", at
                ).fetchone()
                if found is not None:
                    connection.execute(
                        "UPDATE costs SET micros = 0 WHERE day = ? AND campaign = ? AND impression = ?", at
                    )
                    _add(connection, campaign, day, -found[0])
                    return int(found[0])
            return 0

        return await self._file.write(operation)

    async def spent(self, campaign: str) -> Spent:
        """See `AdCounters.spent`."""
        today = day_of(self._clock(), self._zone)
        return await self._file.read(lambda connection: _spent(connection, campaign, today))

    async def try_show(self, person: str, cap: Cap, impression_id: str) -> Show:
        """See `AdCounters.try_show`."""
        require_show(person, impression_id)
        owner, ad = self._sealing.person(person), self._sealing.ad(person, cap.ad)
        impression = self._sealing.impression(person, cap.ad, impression_id)

        def operation(connection: sqlite3.Connection) -> Show:
            now = self._clock()
            self._forget(connection, day_of(now, self._zone))
            times, known = 0, False
            for held, at in self._shows(connection, owner, ad):
                if at <= now - cap.window:
                    connection.execute(
                        "DELETE FROM shows WHERE person = ? AND ad = ? AND impression = ?", (owner, ad, held)
                    )
                else:
                    times, known = times + 1, known or held == impression
            if known:
                return Show(counted=True, reason="known", times=times)
            if times >= cap.most:
                return Show(counted=False, reason="cap", times=times)
            until = now + cap.window
            row = (owner, ad, impression, int(until // 86400) + 1, self._sealing.seal(owner, cap.ad, now, until))
            connection.execute("INSERT INTO shows VALUES (?, ?, ?, ?, ?)", row)
            return Show(counted=True, reason="new", times=times + 1)

        return await self._file.write(operation)

    async def take_back_shows(self, shows: Sequence[OneShow]) -> list[bool]:
        """See `AdCounters.take_back_shows`. One transaction."""
        sealing = self._sealing
        rows = [
            (sealing.person(person), sealing.ad(person, ad), sealing.impression(person, ad, impression_id))
            for person, ad, impression_id in shows
        ]
        delete = "DELETE FROM shows WHERE person = ? AND ad = ? AND impression = ?"
        return await self._file.write(
            lambda connection: [connection.execute(delete, row).rowcount == 1 for row in rows]
        )

    async def shown(self, person: str, caps: Sequence[Cap]) -> list[int]:
        """See `AdCounters.shown`."""
        owner, now = self._sealing.person(person), self._clock()

        def operation(connection: sqlite3.Connection) -> list[int]:
            return [
                sum(at > now - cap.window for _, at in self._shows(connection, owner, self._sealing.ad(person, cap.ad)))
                for cap in caps
            ]

        return await self._file.read(operation)

    async def delete(self, user_id: str) -> int:
        """See `AdCounters.delete`. The bytes are gone from the file when it returns.

        What cannot be opened is removed too, and all that counted is one thing then.
        """
        owner = self._sealing.person(user_id)

        def operation(connection: sqlite3.Connection) -> int:
            try:
                counting = len(self._counting(connection, owner))
            except UNREADABLE:
                counting = 1
            connection.execute("DELETE FROM shows WHERE person = ?", (owner,))
            return counting

        return await self._file.erase(operation)

    async def export(self, user_id: str) -> JsonObject:
        """See `AdCounters.export`."""
        owner = self._sealing.person(user_id)
        return exported(user_id, await self._file.read(lambda connection: self._counting(connection, owner)))

    async def finish_erasures(self) -> bool:
        """See `PlaceOfPeople.finish_erasures`."""
        return await self._file.rewrite()

    async def rotate(self) -> int:
        """See `AdCounters.rotate`."""
        unreadable = Unreadable()
        sealed = await self._file.write(lambda connection: reseal_sqlite_secret(connection, self._sealing.keys))
        after: tuple[bytes, bytes, bytes] | None = (b"", b"", b"")
        while after is not None:
            after, some = await self._reseal_after(after, unreadable)
            sealed += some
        unreadable.tell(str(self._file.path), f"{sealed} values of shows were sealed anew")
        return sealed

    async def _reseal_after(
        self, after: tuple[bytes, bytes, bytes], unreadable: Unreadable
    ) -> tuple[tuple[bytes, bytes, bytes] | None, int]:
        def operation(connection: sqlite3.Connection) -> tuple[tuple[bytes, bytes, bytes] | None, int]:
            rows = connection.execute(
                "SELECT person, ad, impression, sealed FROM shows WHERE (person, ad, impression) > (?, ?, ?) "
                "ORDER BY person, ad, impression LIMIT ?",
                (*after, _SEALED_AT_A_TIME),
            ).fetchall()
            some = 0
            for *at, sealed in rows:
                with unreadable.left_out(at[0]):
                    fresh = self._sealing.resealed(at[0], sealed)
                    if fresh is not None:
                        update = "UPDATE shows SET sealed = ? WHERE person = ? AND ad = ? AND impression = ?"
                        some += connection.execute(update, (fresh, *at)).rowcount
            return (rows[-1][:3] if rows else None), some

        return await self._file.write(operation)

    def _shows(self, connection: sqlite3.Connection, owner: bytes, ad: bytes) -> list[tuple[bytes, float]]:
        """Of the ad's shows the impression and the time, those whose window has passed among them."""
        select = "SELECT impression, sealed FROM shows WHERE person = ? AND ad = ?"
        rows = connection.execute(select, (owner, ad)).fetchall()
        return [(impression, self._sealing.open(owner, sealed)[1]) for impression, sealed in rows]

    def _counting(self, connection: sqlite3.Connection, owner: bytes) -> list[tuple[str, float]]:
        """Ads and times of the person's shows whose window has not passed."""
        now = self._clock()
        rows = connection.execute("SELECT sealed FROM shows WHERE person = ?", (owner,)).fetchall()
        opened = (self._sealing.open(owner, sealed) for (sealed,) in rows)
        return [(ad, at) for ad, at, until in opened if until > now]

    def _forget(self, connection: sqlite3.Connection, today: str) -> None:
        """Remove what no question can reach any more, once a day."""
        now = (today, int(self._clock() // 86400))
        if now == self._forgot:
            return
        oldest = days_known(today)[-1]
        connection.execute("DELETE FROM costs WHERE day < ?", (oldest,))
        connection.execute("DELETE FROM days WHERE day < ?", (oldest,))
        connection.execute("DELETE FROM shows WHERE forgotten <= ?", (now[1],))
        self._forgot = now


def _spent(connection: sqlite3.Connection, campaign: str, today: str) -> Spent:
    total = connection.execute("SELECT micros FROM totals WHERE campaign = ?", (campaign,)).fetchone()
    daily = connection.execute("SELECT micros FROM days WHERE day = ? AND campaign = ?", (today, campaign)).fetchone()
    return Spent(total[0] if total else 0, daily[0] if daily else 0)


def _add(connection: sqlite3.Connection, campaign: str, day: str, micros: int) -> None:
    connection.execute(
        "INSERT INTO totals VALUES (?, ?) ON CONFLICT (campaign) DO UPDATE SET micros = micros + excluded.micros",
        (campaign, micros),
    )
    connection.execute(
        "INSERT INTO days VALUES (?, ?, ?) ON CONFLICT (day, campaign) DO UPDATE SET micros = micros + excluded.micros",
        (day, campaign, micros),
    )
