"""An operation on a SQLite file is whole or nothing, whatever it fails of."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from feature_store.errors import StoreError, StoreUnavailable
from feature_store.sqlite_file import Schema, SQLiteFile, open_file

pytestmark = pytest.mark.anyio

NUMBERS = Schema(77, version=1, statements=["CREATE TABLE numbers (n INTEGER UNIQUE)"], migrations={})


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SQLiteFile]:
    async with open_file(tmp_path / "numbers.sqlite", NUMBERS, busy_seconds=0.05) as file:
        yield file


def add(connection: sqlite3.Connection, *numbers: int) -> int:
    return connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in numbers]).rowcount


def add_and_fail(connection: sqlite3.Connection) -> None:
    add(connection, 1, 2)
    raise LookupError("half way")


def delete_and_fail(connection: sqlite3.Connection) -> int:
    connection.execute("DELETE FROM numbers")
    raise LookupError("half way")


def move_all(folder: Path) -> None:
    for file in list(folder.iterdir()):
        file.rename(folder / f"moved-{file.name}")


def add_nothing(connection: sqlite3.Connection) -> int:
    return add(connection)


def delete_all(connection: sqlite3.Connection) -> int:
    return connection.execute("DELETE FROM numbers").rowcount


def numbers_in(connection: sqlite3.Connection) -> list[int]:
    return [n for (n,) in connection.execute("SELECT n FROM numbers ORDER BY n")]


async def test_a_write_that_fails_half_way_leaves_nothing(file: SQLiteFile) -> None:
    with pytest.raises(LookupError, match="half way"):
        await file.write(add_and_fail)
    assert await file.read(numbers_in) == []
    assert await file.write(lambda connection: add(connection, 1, 2)) == 2
    assert await file.read(numbers_in) == [1, 2]


async def test_an_erasure_that_fails_half_way_deletes_nothing(file: SQLiteFile) -> None:
    await file.write(lambda connection: add(connection, 1, 2))
    with pytest.raises(LookupError, match="half way"):
        await file.erase(delete_and_fail)
    assert await file.read(numbers_in) == [1, 2]


async def test_a_mistake_of_ours_is_not_told_as_one_of_the_file(file: SQLiteFile) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        await file.write(lambda connection: add(connection, 3, 3))
    assert await file.read(numbers_in) == []


class TestMigration:
    async def test_a_file_is_brought_through_each_version_in_turn(self, tmp_path: Path) -> None:
        await make_and_add_one(tmp_path / "numbers.sqlite")
        third = NUMBERS._replace(
            version=3,
            migrations={
                1: ["ALTER TABLE numbers RENAME TO second"],
                2: ["CREATE TABLE numbers (n INTEGER)", "INSERT INTO numbers SELECT n + 1 FROM second"],
            },
        )
        for _ in range(2):  # the second time there is nothing to do
            async with open_file(tmp_path / "numbers.sqlite", third, busy_seconds=0.05) as file:
                assert await file.read(numbers_in) == [2]

    async def test_a_migration_that_fails_half_way_leaves_the_file_as_it_was(self, tmp_path: Path) -> None:
        await make_and_add_one(tmp_path / "numbers.sqlite")
        failing = NUMBERS._replace(version=2, migrations={1: ["DELETE FROM numbers", "DROP TABLE no_such_table"]})
        with pytest.raises(StoreUnavailable, match="no such table"):
            async with open_file(tmp_path / "numbers.sqlite", failing, busy_seconds=0.05):
                pass
        async with open_file(tmp_path / "numbers.sqlite", NUMBERS, busy_seconds=0.05) as file:
            assert await file.read(numbers_in) == [1]

    async def test_a_file_of_an_earlier_version_that_nothing_leads_on_from_is_refused(self, tmp_path: Path) -> None:
        await make_and_add_one(tmp_path / "numbers.sqlite")
        with pytest.raises(StoreError, match="has version 1 of the store's tables; this Hearth knows 2"):
            async with open_file(tmp_path / "numbers.sqlite", NUMBERS._replace(version=2), busy_seconds=0.05):
                pass


async def make_and_add_one(path: Path) -> None:
    async with open_file(path, NUMBERS, busy_seconds=0.05) as file:
        await file.write(lambda connection: add(connection, 1))


class TestPlace:
    """A file without a name is lost when it is closed; nothing may be acknowledged that goes there."""

    @pytest.mark.parametrize("gone", [("", "-wal", "-shm"), ("",), ("-wal",)], ids=str)
    async def test_a_file_that_is_removed_takes_and_gives_nothing_any_more(
        self, tmp_path: Path, gone: tuple[str, ...]
    ) -> None:
        async with open_file(tmp_path / "numbers.sqlite", NUMBERS, busy_seconds=0.05) as file:
            await file.write(lambda connection: add(connection, 1))
            for ending in gone:
                (tmp_path / f"numbers.sqlite{ending}").unlink()
            for operation in (file.read(numbers_in), file.write(add_nothing), file.erase(delete_all)):
                with pytest.raises(
                    StoreUnavailable, match=r"numbers\.sqlite.* was removed or replaced while it was open"
                ):
                    await operation

    async def test_a_file_that_is_replaced_takes_nothing_and_its_follower_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "numbers.sqlite"
        async with open_file(path, NUMBERS, busy_seconds=0.05) as old:
            await old.write(lambda connection: add(connection, 1))
            move_all(tmp_path)
            async with open_file(path, NUMBERS, busy_seconds=0.05) as new:
                await new.write(lambda connection: add(connection, 2))
                with pytest.raises(StoreUnavailable, match="removed or replaced"):
                    await old.write(lambda connection: add(connection, 3))
                assert await new.read(numbers_in) == [2]

    async def test_a_file_that_comes_back_to_its_place_is_used_again(self, tmp_path: Path) -> None:
        path = tmp_path / "numbers.sqlite"
        async with open_file(path, NUMBERS, busy_seconds=0.05) as file:
            path.rename(tmp_path / "moved.sqlite")
            with pytest.raises(StoreUnavailable):
                await file.read(numbers_in)
            (tmp_path / "moved.sqlite").rename(path)
            assert await file.write(lambda connection: add(connection, 1)) == 1
        async with open_file(path, NUMBERS, busy_seconds=0.05) as file:
            assert await file.read(numbers_in) == [1]
