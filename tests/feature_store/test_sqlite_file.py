"""An operation on a SQLite file is whole or nothing, whatever it fails of."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from feature_store.sqlite_file import Schema, SQLiteFile, open_file

pytestmark = pytest.mark.anyio

NUMBERS = Schema(application_id=77, version=1, statements=["CREATE TABLE numbers (n INTEGER UNIQUE)"])


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
