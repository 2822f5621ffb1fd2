"""An operation on a SQLite file is whole or nothing, whatever it fails of."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from feature_store.errors import StoreError, StoreUnavailable
from feature_store.sqlite_file import Schema, SQLiteFile, open_file

pytestmark = pytest.mark.anyio

NUMBERS = Schema(77, version=1, statements=["CREATE TABLE numbers (n INTEGER UNIQUE)"], earlier="start anew")


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


@pytest.mark.parametrize(("version", "told"), [(1, "this Hearth knows 2: start anew$"), (3, "this Hearth knows 2$")])
async def test_a_file_of_another_version_is_refused_and_who_is_late_is_told_what_to_do(
    tmp_path: Path, version: int, told: str
) -> None:
    path = tmp_path / "numbers.sqlite"
    async with open_file(path, NUMBERS._replace(version=version), busy_seconds=0.05):
        pass
    with pytest.raises(StoreError, match=f"has version {version} of the store's tables; {told}"):
        async with open_file(path, NUMBERS._replace(version=2), busy_seconds=0.05):
            pass


async def test_an_erasure_says_what_its_operation_says_and_is_marked_only_where_something_went(
    file: SQLiteFile,
) -> None:
    """The mark makes the next one empty the log, which waits for others."""
    await file.write(lambda connection: add(connection, 1, 2))
    log = file.path.with_name(f"{file.path.name}-wal")
    assert await file.erase(lambda connection: "nothing") == "nothing"
    assert log.stat().st_size > 0
    assert await file.erase(lambda connection: delete_all(connection) == 2)
    pages = 3 * 5000  # no more than the removal of the mark leaves
    assert log.stat().st_size < pages


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
