"""The SQLite stores keep the contract, outlive the process, and name what ails their file."""

import asyncio
import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore, StoreError, StoreUnavailable, UnknownKey
from feature_store.sqlite import open_sqlite
from feature_store.sqlite_events import SQLiteEventStore
from feature_store.stores import LocalStores
from tests.feature_store.embedding_store_contract import UserEmbeddingStoreContract, an_embedding
from tests.feature_store.event_store_contract import EventStoreContract, an_event
from tests.feature_store.rights_contract import RightsContract

ROOT = Path(__file__).parents[2]
WRITER = [sys.executable, str(Path(__file__).with_name("store_writer.py"))]

KEY, ANOTHER = bytes(range(32)), bytes(range(32, 64))
KEYS = KeyRing([KEY])

pytestmark = pytest.mark.anyio


def start_writer(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*WRITER, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment)


class TestSQLiteStores(EventStoreContract, UserEmbeddingStoreContract, RightsContract):
    @pytest.fixture
    async def stores(self, tmp_path: Path) -> AsyncIterator[LocalStores]:
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
            yield stores


async def test_everything_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KEYS) as stores:
        await stores.events.put([an_event("e1"), an_event("e2")])
        await stores.embeddings.put("ada", an_embedding(1.0, 2.0))
        before = await stores.events.get("ada")
    async with open_sqlite(path, KEYS) as stores:
        assert await stores.events.get("ada") == before
        assert await stores.embeddings.get("ada", "r0001-aa") == an_embedding(1.0, 2.0)


async def test_a_watermark_does_not_come_back_after_a_deletion_and_a_restart(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
        await stores.events.put([an_event("e1"), an_event("e2")])
        before = (await stores.events.get("ada")).watermark
        await stores.events.delete("ada")
    async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
        await stores.events.put([an_event("e1"), an_event("e2")])
        assert (await stores.events.get("ada")).watermark not in {0, before}


async def test_the_items_met_are_read_without_the_events(tmp_path: Path) -> None:
    """Otherwise one very long history would hold up everybody's: seen by damaging the one and reading the other."""
    async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
        await stores.events.put([an_event()])
        damage(tmp_path / "hearth.sqlite", "UPDATE people SET log = zeroblob(60)")
        assert (await stores.events.met("ada")).item_ids == ("heat",)
        with pytest.raises(CorruptStore, match=r"hearth\.sqlite: a value of 60 bytes is not one that this store"):
            await stores.events.get("ada")


async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    """Every call that returned is whole in the store, and the one that did not is there whole or not at all."""
    path, acknowledged = tmp_path / "hearth.sqlite", tmp_path / "acknowledged"
    for _ in range(2):
        before = acknowledged.stat().st_size if acknowledged.exists() else 0
        with start_writer("endless", path, acknowledged) as writer:
            while not acknowledged.exists() or acknowledged.stat().st_size < before + 40:
                assert writer.poll() is None
                await asyncio.sleep(0.001)
            writer.kill()
        async with open_sqlite(path, KEYS) as stores:
            people = {user_id async for user_id in stores.events.user_ids()}
            held = {user_id: len((await stores.events.get(user_id)).events) for user_id in people}
        assert {f"{side} {n}" for n in acknowledged.read_text().split() for side in ("left", "right")} <= people
        assert held == {
            f"{side} {n}": many for n in range(len(people) // 2) for side, many in (("left", 2), ("right", 1))
        }


async def test_a_full_disk_refuses_the_whole_call_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "hearth.sqlite"
    with start_writer("full", path, 300_000) as writer:
        said, _ = writer.communicate(timeout=30)
    assert writer.returncode == 0
    assert str(path) in said
    async with open_sqlite(path, KEYS) as stores:
        held = [event.event_id for event in (await stores.events.get("ada")).events]
        assert [user_id async for user_id in stores.events.user_ids()] == ["ada"]
    assert held == [*(f"early{n}" for n in range(50)), "after"]


def test_a_file_that_may_only_be_read_is_refused_by_name_and_left_alone() -> None:
    async def make(path: Path) -> None:
        async with open_sqlite(path, KEYS) as stores:
            await stores.events.put([an_event()])

    with tempfile.TemporaryDirectory() as folder:  # not pytest's, into which nobody else can look
        path = Path(folder, "hearth.sqlite")
        asyncio.run(make(path))
        content = path.read_bytes()
        path.chmod(0o444)
        path.parent.chmod(0o555)
        with start_writer("read-only", path) as writer:
            said, _ = writer.communicate(timeout=30)
        assert re.search(r"hearth\.sqlite cannot be (opened|read or written)", said)
        assert path.read_bytes() == content
        path.parent.chmod(0o755)


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_link_leads_to_the_same_store(tmp_path: Path, is_there: bool) -> None:  # noqa: FBT001 - as pytest calls
    """One that leads nowhere yet has its store made where it leads to; one that is bent elsewhere is noticed."""
    file, link = tmp_path / "disk" / "real.sqlite", tmp_path / "people.sqlite"
    file.parent.mkdir()
    link.symlink_to(file)
    if is_there:
        async with open_sqlite(file, KEYS) as stores:
            await stores.events.put([an_event("e0")])
    async with open_sqlite(link, KEYS) as stores, open_sqlite(file, KEYS) as others:
        await stores.events.put([an_event("e1")])
        assert len((await others.events.get("ada")).events) == 1 + is_there
        file.rename(tmp_path / "moved.sqlite")
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await stores.events.get("ada")
    assert link.is_symlink()


async def test_many_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    writers = [start_writer("once", tmp_path / "hearth.sqlite", f"user {n}") for n in range(3)]
    for writer in writers:
        with writer:
            assert writer.wait(timeout=30) == 0
    async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
        assert len([user_id async for user_id in stores.events.user_ids()]) == 3


async def test_of_two_openings_of_one_file_neither_loses_what_the_other_wrote(tmp_path: Path) -> None:
    """A record is read, changed and written: with another writer in between, one of the two changes would be gone."""
    path = tmp_path / "hearth.sqlite"
    async with open_sqlite(path, KEYS) as one, open_sqlite(path, KEYS) as two:
        puts = [
            stores.events.put([an_event(f"e{n}", item_id=f"item {n:02}"), an_event("both")])
            for n, stores in enumerate([one, two] * 10)
        ]
        flags = await asyncio.gather(*puts)
        assert [new for new, _ in flags] == [True] * 20
        assert sum(new for _, new in flags) == 1
        assert len((await one.events.get("ada")).events) == 21
        assert await two.events.met("ada") == await one.events.met("ada")


class TestWaiting:
    async def test_the_event_loop_goes_on_while_the_file_is_held(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
            with closing(sqlite3.connect(tmp_path / "hearth.sqlite")) as other:
                other.execute("BEGIN IMMEDIATE")
                put = asyncio.create_task(stores.events.put([an_event()]))
                for _ in range(50):
                    await asyncio.sleep(0.001)
                assert not put.done()
                other.rollback()
            assert await put == [True]

    async def test_a_file_that_is_held_too_long_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS, busy_seconds=0.05) as stores:
            with closing(sqlite3.connect(tmp_path / "hearth.sqlite")) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable, match=r"hearth\.sqlite cannot be read or written now.*locked"):
                    await stores.events.put([an_event()])
            assert await stores.events.put([an_event()]) == [True]

    async def test_a_call_that_is_no_longer_waited_for_is_still_whole(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
            with closing(sqlite3.connect(tmp_path / "hearth.sqlite")) as other:
                other.execute("BEGIN IMMEDIATE")
                put = asyncio.create_task(stores.events.put([an_event(f"e{n}") for n in range(100)]))
                await asyncio.sleep(0.05)
                put.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await put
            assert len((await stores.events.get("ada")).events) == 100

    async def test_closing_waits_for_what_was_asked_before(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
            put = asyncio.create_task(stores.events.put([an_event(f"e{n}") for n in range(3000)]))
            await asyncio.sleep(0)
        assert await put == [True] * 3000
        assert not (tmp_path / "hearth.sqlite-wal").exists()


class TestFile:
    async def test_nobody_else_may_read_the_file(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
            await stores.events.put([an_event()])
            assert modes_in(tmp_path) == {
                "hearth.sqlite": 0o600,
                "hearth.sqlite-shm": 0o600,
                "hearth.sqlite-wal": 0o600,
            }

    async def test_a_file_that_others_could_read_is_closed_to_them(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path, KEYS):
            pass
        path.chmod(0o644)
        async with open_sqlite(path, KEYS) as stores:
            await stores.events.put([an_event()])
            assert set(modes_in(tmp_path).values()) == {0o600}

    async def test_an_acknowledged_event_waits_for_the_disk(self, tmp_path: Path) -> None:
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
            assert isinstance(stores.events, SQLiteEventStore)
            assert await stores.events._file.read(pragmas) == ("wal", 2, 1, 2)

    @pytest.mark.parametrize("content", [b"no database", b"user,item\n" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
    async def test_a_file_that_is_no_database_is_refused_and_left_alone(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "notes.txt"
        path.write_bytes(content)
        path.chmod(0o644)
        with pytest.raises(CorruptStore, match=r"notes\.txt is damaged, or no SQLite database"):
            async with open_sqlite(path, KEYS):
                pass
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    async def test_a_database_of_another_program_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "bookmarks.sqlite"
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE bookmarks (url TEXT)")
        content = path.read_bytes()
        with pytest.raises(
            CorruptStore, match=r"bookmarks\.sqlite: the file is empty, or a database of another program"
        ):
            async with open_sqlite(path, KEYS):
                pass
        assert path.read_bytes() == content

    async def test_a_file_of_a_later_hearth_is_refused_naming_both_versions(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path, KEYS):
            pass
        with closing(sqlite3.connect(path)) as later:
            later.execute("PRAGMA user_version = 7")
        with pytest.raises(StoreError, match=r"hearth\.sqlite has version 7 .*; this Hearth knows 3$"):
            async with open_sqlite(path, KEYS):
                pass

    async def test_a_file_of_the_time_before_encryption_is_refused_with_what_to_do(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path, KEYS):
            pass
        damage(path, "PRAGMA user_version = 2")
        content = path.read_bytes()
        told = r"sqlite has version 2 .*; this Hearth knows 3: it was written before stores were encrypted\. Delete it"
        with pytest.raises(StoreError, match=told):
            async with open_sqlite(path, KEYS):
                pass
        assert path.read_bytes() == content

    async def test_a_file_of_another_key_is_refused_naming_both_and_left_alone(self, tmp_path: Path) -> None:
        path, another = tmp_path / "hearth.sqlite", KeyRing([ANOTHER])
        async with open_sqlite(path, KEYS) as stores:
            await stores.events.put([an_event()])
        content = path.read_bytes()
        told = rf"hearth\.sqlite: .*sealed with key {KEYS.newest.hex()}; the keys at hand are {another.newest.hex()}"
        with pytest.raises(UnknownKey, match=told):
            async with open_sqlite(path, another):
                pass
        assert path.read_bytes() == content

    async def test_a_damaged_file_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        path = tmp_path / "hearth.sqlite"
        async with open_sqlite(path, KEYS) as stores:
            await stores.events.put([an_event(f"e{n}") for n in range(2000)])
        content = path.read_bytes()
        path.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))
        with pytest.raises(CorruptStore, match=r"hearth\.sqlite is damaged"):
            async with open_sqlite(path, KEYS) as stores:
                await stores.events.get("ada")

    async def test_a_folder_in_the_place_of_the_file_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable, match=str(tmp_path)):
            async with open_sqlite(tmp_path, KEYS):
                pass

    async def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable, match=r"nowhere/hearth\.sqlite cannot be opened as a store: No such file"):
            async with open_sqlite(tmp_path / "nowhere" / "hearth.sqlite", KEYS):
                pass

    async def test_an_empty_file_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        """Hearth itself never leaves one: its file comes to its place whole."""
        (tmp_path / "hearth.sqlite").touch()
        with pytest.raises(CorruptStore, match=r"hearth\.sqlite: the file is empty"):
            async with open_sqlite(tmp_path / "hearth.sqlite", KEYS):
                pass
        assert (tmp_path / "hearth.sqlite").stat().st_size == 0

    async def test_an_error_of_the_block_is_the_one_that_is_seen(self, tmp_path: Path) -> None:
        with pytest.raises(LookupError, match="of the block"):
            await put_and_fail(tmp_path / "hearth.sqlite")
        async with open_sqlite(tmp_path / "hearth.sqlite", KEYS) as stores:
            assert [event.event_id for event in (await stores.events.get("ada")).events] == ["e1"]


async def put_and_fail(path: Path) -> None:
    async with open_sqlite(path, KEYS) as stores:
        await stores.events.put([an_event()])
        raise LookupError("of the block")


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def damage(path: Path, statement: str) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def pragmas(connection: sqlite3.Connection) -> tuple[object, ...]:
    names = ("journal_mode", "synchronous", "secure_delete", "temp_store")
    return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
