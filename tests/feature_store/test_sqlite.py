"""The SQLite stores keep the contract, agree with those in memory, outlive the process, and erase for good."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from feature_store.errors import CorruptStore, StoreError, StoreUnavailable
from feature_store.memory import open_memory
from feature_store.met import MetItems
from feature_store.sqlite import _MET, SQLiteEventStore, open_sqlite
from feature_store.stores import LocalStores
from tests.feature_store.store_contract import (
    EventStoreContract,
    UserEmbeddingStoreContract,
    an_embedding,
    an_event,
)
from tests.feature_store.store_replay import STEPS, Step, replay

ROOT = Path(__file__).parents[2]
WRITER = [sys.executable, str(Path(__file__).with_name("store_writer.py"))]

pytestmark = pytest.mark.anyio


def start_writer(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*WRITER, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment)


class TestSQLiteStores(EventStoreContract, UserEmbeddingStoreContract):
    @pytest.fixture
    async def stores(self, tmp_path: Path) -> AsyncIterator[LocalStores]:
        async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
            yield stores


@settings(max_examples=25)
@given(steps=STEPS)
def test_sqlite_says_what_memory_says(steps: list[Step]) -> None:
    async def on_sqlite() -> list[object]:
        with tempfile.TemporaryDirectory() as folder:
            async with open_sqlite(Path(folder, "hearth.sqlite")) as stores:
                return await replay(stores, steps)

    assert asyncio.run(on_sqlite()) == asyncio.run(replay(open_memory(), steps))


async def test_everything_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path) as stores:
        await stores.events.put([an_event("e1"), an_event("e2")])
        await stores.embeddings.put("ada", an_embedding(1.0, 2.0))
        before = await stores.events.get("ada")
    async with open_sqlite(path) as stores:
        assert await stores.events.get("ada") == before
        assert await stores.embeddings.get("ada", "r0001-aa") == an_embedding(1.0, 2.0)


async def test_a_watermark_does_not_come_back_after_a_deletion_and_a_restart(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
        await stores.events.put([an_event("e1"), an_event("e2")])
        before = (await stores.events.get("ada")).watermark
        await stores.events.delete("ada")
    async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
        await stores.events.put([an_event("e1"), an_event("e2")])
        assert (await stores.events.get("ada")).watermark > before


def test_the_items_met_are_read_from_an_index_alone(tmp_path: Path) -> None:
    """Read through the events themselves, one very long history would hold up everybody's."""

    async def make() -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
            await stores.events.put([an_event()])

    asyncio.run(make())
    with closing(sqlite3.connect(tmp_path / "hearth.sqlite")) as connection:
        [plan] = connection.execute(f"EXPLAIN QUERY PLAN {_MET}", ("ada",)).fetchall()
    assert plan[-1] == "SEARCH events USING COVERING INDEX events_met (user_id=?)"  # and no sorting besides


async def test_a_file_of_version_1_is_brought_to_this_one_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    with closing(sqlite3.connect(path)) as first:
        first.executescript(VERSION_1)
    for _ in range(2):
        async with open_sqlite(path) as stores:
            assert [event.item_id for event in (await stores.events.get("ada")).events] == ["heat", "casino"]
            assert await stores.events.met("ada") == MetItems(("casino", "heat"), 2)
            assert await stores.embeddings.get("ada", "r0001-aa") == an_embedding(1.0, watermark=2)
    async with open_sqlite(tmp_path / "new.sqlite"):
        pass
    assert tables_in(path) == tables_in(tmp_path / "new.sqlite")
    async with open_sqlite(path) as stores:
        for checkpoint_id in ("r0002-bb", "r0003-cc"):
            await stores.embeddings.put("ada", an_embedding(2.0, checkpoint_id=checkpoint_id))
        assert await stores.embeddings.get("ada", "r0001-aa") is None


async def test_many_bring_one_file_of_version_1_to_this_one_at_once(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    with closing(sqlite3.connect(path)) as first:
        first.executescript(VERSION_1)

    async def met() -> MetItems:
        async with open_sqlite(path) as stores:
            return await stores.events.met("ada")

    assert await asyncio.gather(*(met() for _ in range(4))) == [MetItems(("casino", "heat"), 2)] * 4


async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    """Every call that returned is whole in the store, and the one that did not is there whole or not at all."""
    path, acknowledged = tmp_path / "hearth.sqlite", tmp_path / "acknowledged"
    for _ in range(4):
        before = acknowledged.stat().st_size if acknowledged.exists() else 0
        with start_writer("endless", path, acknowledged) as writer:
            while not acknowledged.exists() or acknowledged.stat().st_size < before + 40:
                assert writer.poll() is None
                await asyncio.sleep(0.001)
            writer.kill()
        async with open_sqlite(path) as stores:
            held = [event.event_id for event in (await stores.events.get("ada")).events]
        assert {f"e{n}-2" for n in acknowledged.read_text().split()} <= set(held)
        assert len(held) % 3 == 0


async def test_a_full_disk_refuses_the_whole_call_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    with start_writer("full", path, 300_000) as writer:
        said, _ = writer.communicate(timeout=30)
    assert writer.returncode == 0
    assert str(path) in said
    async with open_sqlite(path) as stores:
        held = [event.event_id for event in (await stores.events.get("ada")).events]
    assert held == [*(f"early{n}" for n in range(50)), "after"]


async def test_many_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    writers = [start_writer("once", tmp_path / "hearth.sqlite", f"user {n}") for n in range(4)]
    for writer in writers:
        with writer:
            assert writer.wait(timeout=30) == 0
    async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
        assert len([user_id async for user_id in stores.events.user_ids()]) == 4


class TestWaiting:
    async def test_the_event_loop_goes_on_while_the_file_is_held(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
            with closing(sqlite3.connect(tmp_path / "hearth.sqlite")) as other:
                other.execute("BEGIN IMMEDIATE")
                put = asyncio.create_task(stores.events.put([an_event()]))
                for _ in range(50):
                    await asyncio.sleep(0.001)
                assert not put.done()
                other.rollback()
            assert await put == [True]

    async def test_a_file_that_is_held_too_long_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite", busy_seconds=0.05) as stores:
            with closing(sqlite3.connect(tmp_path / "hearth.sqlite")) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable, match=r"hearth\.sqlite cannot be read or written now.*locked"):
                    await stores.events.put([an_event()])
            assert await stores.events.put([an_event()]) == [True]

    async def test_a_call_that_is_no_longer_waited_for_is_still_whole(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
            with closing(sqlite3.connect(tmp_path / "hearth.sqlite")) as other:
                other.execute("BEGIN IMMEDIATE")
                put = asyncio.create_task(stores.events.put([an_event(f"e{n}") for n in range(100)]))
                await asyncio.sleep(0.05)
                put.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await put
            assert len((await stores.events.get("ada")).events) == 100

    async def test_closing_waits_for_what_was_asked_before(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
            put = asyncio.create_task(stores.events.put([an_event(f"e{n}") for n in range(3000)]))
            await asyncio.sleep(0)
        assert await put == [True] * 3000
        assert not (tmp_path / "hearth.sqlite-wal").exists()


class TestErasure:
    async def test_erased_people_are_gone_from_the_bytes_of_the_file(self, tmp_path: Path) -> None:
        """`PRAGMA secure_delete` alone leaves some of them in the unused parts of pages that were split."""
        path, rng = tmp_path / "hearth.sqlite", np.random.default_rng(7)
        people = [f"person-{n:05}" for n in range(60)]
        vectors = rng.normal(size=(60, 64)).astype(np.float32)
        async with open_sqlite(path) as stores:
            for call in range(12):
                met = rng.integers(60, size=200)
                await stores.events.put([an_event(f"{call}-{n}", people[who]) for n, who in enumerate(met)])
                for who in rng.choice(60, size=30, replace=False):
                    await stores.embeddings.put(people[who], an_embedding(*vectors[who], checkpoint_id=f"r{call % 3}"))
            written = bytes_of(path)
            assert all(person.encode() in written for person in people)
            assert all(vector.tobytes() in written for vector in vectors)
            for person in people[:25]:
                await stores.events.delete(person)
                await stores.embeddings.delete(person)
            left = bytes_of(path)
        assert [person for person in people[:25] if person.encode() in left] == []
        assert [who for who in range(25) if vectors[who].tobytes() in left] == []
        assert all(person.encode() in left for person in people[25:])

    async def test_erasing_that_another_process_held_up_is_done_at_the_next_opening(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path, busy_seconds=0.05) as stores:
            await stores.events.put([an_event(user_id="person-00001")])
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM events").fetchone()
                with pytest.raises(StoreUnavailable, match="deleted, but another process holds the log"):
                    await stores.events.delete("person-00001")
                assert (await stores.events.get("person-00001")).events == ()
                assert b"person-00001" in bytes_of(path)
                reader.execute("COMMIT")
                async with open_sqlite(path):
                    assert b"person-00001" not in bytes_of(path)

    async def test_erasing_that_was_held_up_is_done_by_asking_again(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path, busy_seconds=0.05) as stores:
            await stores.events.put([an_event(user_id="person-00001")])
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM events").fetchone()
                with pytest.raises(StoreUnavailable):
                    await stores.events.delete("person-00001")
                reader.execute("COMMIT")
                assert await stores.events.delete("person-00001") == 0
                assert b"person-00001" not in bytes_of(path)


class TestFile:
    async def test_nobody_else_may_read_the_file(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
            await stores.events.put([an_event()])
            assert modes_in(tmp_path) == {
                "hearth.sqlite": 0o600,
                "hearth.sqlite-shm": 0o600,
                "hearth.sqlite-wal": 0o600,
            }

    async def test_a_file_that_others_could_read_is_closed_to_them(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path):
            pass
        path.chmod(0o644)
        async with open_sqlite(path) as stores:
            await stores.events.put([an_event()])
            assert set(modes_in(tmp_path).values()) == {0o600}

    async def test_an_acknowledged_event_waits_for_the_disk(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
            assert isinstance(stores.events, SQLiteEventStore)
            assert await stores.events._file.read(pragmas) == ("wal", 2, 1, 2)

    @pytest.mark.parametrize("content", [b"no database", b"user,item\n" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
    async def test_a_file_that_is_no_database_is_refused_and_left_alone(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "notes.txt"
        path.write_bytes(content)
        path.chmod(0o644)
        with pytest.raises(CorruptStore, match=r"notes\.txt is damaged, or no SQLite database"):
            async with open_sqlite(path):
                pass
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    async def test_a_database_of_another_program_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "bookmarks.sqlite"
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE bookmarks (url TEXT)")
        content = path.read_bytes()
        with pytest.raises(CorruptStore, match=r"bookmarks\.sqlite is empty, or a database of another program"):
            async with open_sqlite(path):
                pass
        assert path.read_bytes() == content

    async def test_a_file_of_a_later_hearth_is_refused_naming_both_versions(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path):
            pass
        with closing(sqlite3.connect(path)) as later:
            later.execute("PRAGMA user_version = 7")
        with pytest.raises(StoreError, match=r"hearth\.sqlite has version 7 .*; this Hearth knows 2"):
            async with open_sqlite(path):
                pass

    async def test_a_damaged_file_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path) as stores:
            await stores.events.put([an_event(f"e{n}") for n in range(2000)])
        content = path.read_bytes()
        path.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))
        with pytest.raises(CorruptStore, match=r"hearth\.sqlite is damaged"):
            async with open_sqlite(path) as stores:
                await stores.events.get("ada")

    async def test_a_folder_in_the_place_of_the_file_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable, match=str(tmp_path)):
            async with open_sqlite(tmp_path):
                pass

    async def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable, match=r"nowhere/hearth\.sqlite cannot be opened as a store: No such file"):
            async with open_sqlite(tmp_path / "nowhere" / "hearth.sqlite"):
                pass

    async def test_an_empty_file_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        """Hearth itself never leaves one: its file comes to its place whole."""
        (tmp_path / "hearth.sqlite").touch()
        with pytest.raises(CorruptStore, match=r"hearth\.sqlite is empty"):
            async with open_sqlite(tmp_path / "hearth.sqlite"):
                pass
        assert (tmp_path / "hearth.sqlite").stat().st_size == 0

    async def test_an_error_of_the_block_is_the_one_that_is_seen(self, tmp_path: Path) -> None:
        with pytest.raises(LookupError, match="of the block"):
            await put_and_fail(tmp_path / "hearth.sqlite")
        async with open_sqlite(tmp_path / "hearth.sqlite") as stores:
            assert [event.event_id for event in (await stores.events.get("ada")).events] == ["e1"]


# A file as the first Hearth made it.
VERSION_1 = """
    PRAGMA journal_mode = WAL;
    PRAGMA application_id = 0x48525448;
    PRAGMA user_version = 1;
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, event_id TEXT NOT NULL,
        item_id TEXT NOT NULL, event TEXT NOT NULL, timestamp REAL NOT NULL, value REAL, UNIQUE (user_id, event_id)
    );
    CREATE TABLE user_embeddings (
        user_id TEXT NOT NULL, checkpoint_id TEXT NOT NULL, watermark INTEGER NOT NULL, dim INTEGER NOT NULL,
        vector BLOB NOT NULL CHECK (length(vector) = 4 * dim), PRIMARY KEY (user_id, checkpoint_id)
    ) WITHOUT ROWID;
    CREATE TABLE unfinished_erasure (once INTEGER PRIMARY KEY CHECK (once = 1));
    INSERT INTO events VALUES (1, 'ada', 'e1', 'heat', 'view', 1.0, NULL), (2, 'ada', 'e2', 'casino', 'view', 2.0, 4.5);
    INSERT INTO user_embeddings VALUES ('ada', 'r0001-aa', 2, 1, x'0000803f');
"""


def tables_in(path: Path) -> tuple[object, ...]:
    """The version, and the columns of each table and index."""
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()
        names = sorted(name for (name,) in connection.execute("SELECT name FROM sqlite_schema"))
        columns = [
            connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
            or connection.execute("SELECT * FROM pragma_index_xinfo(?)", (name,)).fetchall()
            for name in names
        ]
    return version, names, columns


async def put_and_fail(path: Path) -> None:
    async with open_sqlite(path) as stores:
        await stores.events.put([an_event()])
        raise LookupError("of the block")


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def bytes_of(path: Path) -> bytes:
    """The file and its log."""
    log = path.with_name(f"{path.name}-wal")
    return path.read_bytes() + (log.read_bytes() if log.exists() else b"")


def pragmas(connection: sqlite3.Connection) -> tuple[object, ...]:
    names = ("journal_mode", "synchronous", "secure_delete", "temp_store")
    return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
