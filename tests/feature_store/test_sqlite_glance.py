"""A glance reads on the thread that asks, waits for nobody, and leaves to the file's own thread what it cannot have."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore, StoreUnavailable
from feature_store.sqlite import open_sqlite
from feature_store.sqlite_file import Schema, SQLiteFile, open_file
from feature_store.sqlite_glance import SLOW_SECONDS, glancing
from tests.feature_store.embedding_store_contract import an_embedding
from tests.feature_store.event_store_contract import an_event

pytestmark = pytest.mark.anyio

NUMBERS = Schema(77, version=1, statements=["CREATE TABLE numbers (n INTEGER UNIQUE)"], earlier="start anew")
KEYS = KeyRing([bytes(range(32)), bytes(range(32, 64))])


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SQLiteFile]:
    async with open_file(tmp_path / "numbers.sqlite", NUMBERS, busy_seconds=0.05) as file:
        yield file


def add(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))


def largest(connection: sqlite3.Connection) -> int | None:
    number: int | None = connection.execute("SELECT MAX(n) FROM numbers").fetchone()[0]
    return number


def where(_connection: sqlite3.Connection) -> threading.Thread:
    return threading.current_thread()


def slowly_where(connection: sqlite3.Connection) -> threading.Thread:
    time.sleep(2 * SLOW_SECONDS)
    return where(connection)


async def test_it_reads_on_the_thread_that_asks_what_was_acknowledged(file: SQLiteFile) -> None:
    with glancing(file) as glance:
        assert await glance.read(largest) is None
        for number in range(5):
            await file.write(partial(add, number=number))
            assert await glance.read(largest) == number
        assert await glance.read(where) is threading.current_thread()
        await file.rewrite()
        assert await glance.read(largest) == 4


async def test_it_waits_for_nobody_who_writes(file: SQLiteFile) -> None:
    with glancing(file) as glance, closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        await file.write(lambda connection: add(connection, 1))
        other.execute("BEGIN EXCLUSIVE")
        add(other, 2)
        assert await glance.read(largest) == 1
        assert await glance.read(where) is threading.current_thread()
        other.execute("COMMIT")
        assert await glance.read(largest) == 2


async def test_what_it_cannot_read_the_thread_of_the_file_reads(file: SQLiteFile) -> None:
    """Here a table that its connection cannot see."""
    await file.read(lambda connection: connection.execute("CREATE TEMP TABLE own AS SELECT 7 AS n").close())
    with glancing(file) as glance:
        assert await glance.read(lambda connection: connection.execute("SELECT n FROM own").fetchone()) == (7,)
        with pytest.raises(StoreUnavailable, match=r"numbers\.sqlite cannot be read .* no such table: nowhere"):
            await glance.read(lambda connection: connection.execute("SELECT n FROM nowhere").fetchone())


async def test_it_can_change_nothing(file: SQLiteFile) -> None:
    written_by = []

    def write(connection: sqlite3.Connection) -> None:
        add(connection, 1)
        written_by.append(threading.current_thread())

    with glancing(file) as glance:
        await glance.read(write)
    assert threading.current_thread() not in written_by


async def test_it_keeps_no_erasure_from_emptying_the_log(file: SQLiteFile) -> None:
    """A reader that has not ended its transaction would, and the erasure would fail."""
    with glancing(file) as glance:
        await file.write(lambda connection: add(connection, 1))
        await glance.read(largest)
        assert await file.erase(lambda connection: connection.execute("DELETE FROM numbers").rowcount) == 1
        assert await glance.read(largest) is None


async def test_after_a_slow_one_the_thread_of_the_file_reads_for_a_while(file: SQLiteFile) -> None:
    """A disk that takes its time holds up one reply, and not the event loop again and again."""
    loop = threading.current_thread()
    with glancing(file, pause_seconds=0.1) as glance:
        assert await glance.read(slowly_where) is loop
        assert await glance.read(where) is not loop
        assert await glance.read(slowly_where) is not loop
        await asyncio.sleep(0.12)
        assert await glance.read(where) is loop
        assert await glance.read(where) is loop


@pytest.mark.parametrize("gone", ["", "-wal"])
async def test_a_file_that_is_removed_gives_nothing_any_more(file: SQLiteFile, gone: str) -> None:
    with glancing(file) as glance:
        await file.write(lambda connection: add(connection, 1))
        assert await glance.read(largest) == 1
        file.path.with_name(f"{file.path.name}{gone}").unlink()
        with pytest.raises(StoreUnavailable, match=r"numbers\.sqlite.* was removed or replaced while it was open"):
            await glance.read(largest)


async def test_a_name_with_marks_of_an_address_leads_to_its_file(tmp_path: Path) -> None:
    async with open_file(tmp_path / "a?b#c%20d.sqlite", NUMBERS, busy_seconds=0.05) as file:
        await file.write(lambda connection: add(connection, 1))
        with glancing(file) as glance:
            assert await glance.read(largest) == 1
            assert await glance.read(where) is threading.current_thread()


class TestPerson:
    """Who asks for a list is read at a glance."""

    async def test_who_is_known_is_read_without_a_turn_of_the_event_loop(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
            await stores.events.put([an_event()])
            await stores.embeddings.put("ada", an_embedding(1.0, 2.0))
            with pytest.raises(StopIteration) as ended:  # it would have given the loop something to wait for
                stores.person("ada", "r0001-aa").send(None)
            met, embedding = ended.value.value
            assert met == await stores.events.met("ada")
            assert embedding == await stores.embeddings.get("ada", "r0001-aa")

    async def test_what_another_opening_sealed_anew_and_erased_is_seen(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path, KEYS) as stores, open_sqlite(path, KEYS, busy_seconds=0.0) as others:
            await others.events.put([an_event()])
            await others.embeddings.put("ada", an_embedding(1.0, 2.0))
            before = await stores.person("ada", "r0001-aa")
            assert before[1] == an_embedding(1.0, 2.0)
            await others.events.rotate()
            await others.events.finish_erasures()
            assert await stores.person("ada", "r0001-aa") == before
            await others.embeddings.delete("ada")
            assert await stores.person("ada", "r0001-aa") == (before[0], None)
            await others.events.delete("ada")
            assert not (await stores.person("ada", "r0001-aa"))[0].item_ids

    async def test_what_is_damaged_is_an_error_that_names_the_file(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
            await stores.events.put([an_event()])
            with closing(sqlite3.connect(tmp_path / "hearth.sqlite", isolation_level=None)) as other:
                other.execute("UPDATE people SET met = zeroblob(60)")
            with pytest.raises(CorruptStore, match=r"hearth\.sqlite: a value of 60 bytes is not one that this store"):
                await stores.person("ada", "r0001-aa")

    async def test_a_file_that_is_closed_after_it_leaves_no_log(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path, KEYS) as stores:
            await stores.events.put([an_event()])
            await stores.person("ada", "r0001-aa")
        assert not path.with_name("hearth.sqlite-wal").exists()
