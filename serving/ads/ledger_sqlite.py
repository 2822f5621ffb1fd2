"""The ledger in a SQLite file, for the servers of one machine."""

import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from feature_store.sqlite_file import Schema, SQLiteFile, open_file
from feature_store.stores import Clock
from serving.ads.ledger import KEPT_SECONDS, Counts, Offer, Seen

_SCHEMA = Schema(
    application_id=0x48525441,  # "HRTA"
    version=1,
    statements=(
        """CREATE TABLE offers (
            recommendation TEXT NOT NULL, ad TEXT NOT NULL, offer TEXT NOT NULL, until REAL NOT NULL,
            seen INTEGER NOT NULL DEFAULT 0, clicked INTEGER NOT NULL DEFAULT 0, withdrawn INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (recommendation, ad)
        ) WITHOUT ROWID""",
        "CREATE INDEX offers_until ON offers (until)",
        "CREATE TABLE counts (ad TEXT PRIMARY KEY, shows INTEGER NOT NULL, clicks INTEGER NOT NULL) WITHOUT ROWID",
    ),
    earlier="there is none",
)
_FORGET_SECONDS = 60.0  # between two looks for what is too old


@asynccontextmanager
async def open_sqlite_ledger(
    path: Path, *, clock: Clock = time.time, busy_seconds: float = 5.0
) -> AsyncIterator["SQLiteLedger"]:
    """The ledger of that file, which is made where there is none; raises as `feature_store.sqlite_file.open_file`."""
    async with open_file(path, _SCHEMA, busy_seconds) as file:
        yield SQLiteLedger(file, clock)


class SQLiteLedger:
    """Tables; each step is a transaction."""

    def __init__(self, file: SQLiteFile, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._forgot = float("-inf")

    async def offer(self, recommendation_id: str, offers: Sequence[Offer]) -> None:
        """See `Ledger.offer`."""

        def operation(connection: sqlite3.Connection) -> None:
            now = self._clock()
            if now >= self._forgot + _FORGET_SECONDS:
                connection.execute("DELETE FROM offers WHERE until <= ?", (now,))
                self._forgot = now
            connection.executemany(
                "INSERT OR REPLACE INTO offers (recommendation, ad, offer, until) VALUES (?, ?, ?, ?)",
                [
                    (recommendation_id, one.ad, one.model_dump_json(exclude_defaults=True), now + KEPT_SECONDS)
                    for one in offers
                ],
            )

        await self._file.write(operation)

    async def see(self, recommendation_id: str, ad: str) -> Seen:
        """See `Ledger.see`."""
        return await self._file.write(lambda connection: self._see(connection, recommendation_id, ad))

    async def click(self, recommendation_id: str, ad: str) -> Offer | None:
        """See `Ledger.click`."""

        def operation(connection: sqlite3.Connection) -> Offer | None:
            if self._see(connection, recommendation_id, ad) == "unknown":
                return None
            at = (recommendation_id, ad)
            offer, clicked = connection.execute(
                "SELECT offer, clicked FROM offers WHERE recommendation = ? AND ad = ?", at
            ).fetchone()
            if not clicked:
                connection.execute("UPDATE offers SET clicked = 1 WHERE recommendation = ? AND ad = ?", at)
                connection.execute("UPDATE counts SET clicks = clicks + 1 WHERE ad = ?", (ad,))  # seen by now
            return Offer.model_validate_json(offer)

        return await self._file.write(operation)

    async def refuse(self, recommendation_id: str, offer: Offer) -> None:
        """See `Ledger.refuse`."""
        update = "UPDATE offers SET offer = ? WHERE recommendation = ? AND ad = ?"
        row = (offer.refused().model_dump_json(exclude_defaults=True), recommendation_id, offer.ad)
        await self._file.write(lambda connection: connection.execute(update, row))

    async def offered(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        """See `Ledger.offered`."""

        def operation(connection: sqlite3.Connection) -> list[bool]:
            ask, now = "SELECT 1 FROM offers WHERE recommendation = ? AND ad = ? AND until > ?", self._clock()
            return [connection.execute(ask, (*at, now)).fetchone() is not None for at in shows]

        return await self._file.read(operation)

    async def withdraw(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        """See `Ledger.withdraw`. One transaction."""

        def withdrawn(connection: sqlite3.Connection, at: tuple[str, str]) -> bool:
            found = connection.execute("SELECT seen FROM offers WHERE recommendation = ? AND ad = ?", at).fetchone()
            if found is not None and found[0]:
                return False
            connection.execute("UPDATE offers SET withdrawn = 1 WHERE recommendation = ? AND ad = ?", at)
            return True

        return await self._file.write(lambda connection: [withdrawn(connection, at) for at in shows])

    async def counts(self, ads: Sequence[str]) -> list[Counts]:
        """See `Ledger.counts`."""

        def operation(connection: sqlite3.Connection) -> list[Counts]:
            ask = "SELECT shows, clicks FROM counts WHERE ad = ?"
            found = (connection.execute(ask, (ad,)).fetchone() for ad in ads)
            return [Counts(*(row or (0, 0))) for row in found]

        return await self._file.read(operation)

    def _see(self, connection: sqlite3.Connection, recommendation_id: str, ad: str) -> Seen:
        at = (recommendation_id, ad)
        found = connection.execute(
            "SELECT seen, withdrawn FROM offers WHERE recommendation = ? AND ad = ? AND until > ?", (*at, self._clock())
        ).fetchone()
        if found is None:
            return "unknown"
        if found[0]:
            return "known"
        connection.execute("UPDATE offers SET seen = 1 WHERE recommendation = ? AND ad = ?", at)
        connection.execute(
            "INSERT INTO counts VALUES (?, 1, 0) ON CONFLICT (ad) DO UPDATE SET shows = shows + 1", (ad,)
        )
        return "late" if found[1] else "new"
