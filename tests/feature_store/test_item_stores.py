"""All stores of items keep one contract and agree with that in memory; what one process puts others see at once."""

import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import CorruptStore, StoreUnavailable
from feature_store.item_schemas import StoredItem
from feature_store.item_store import START, Changes, ItemStore, Mark
from feature_store.item_store_memory import InMemoryItemStore
from feature_store.item_store_opening import open_items
from feature_store.item_store_redis import open_redis_items
from feature_store.item_store_sqlite import open_sqlite_items
from feature_store.redis_settings import RedisSettings
from tests.feature_store.item_store_contract import KEPT_REMOVALS, ItemStoreContract, film
from tests.redis_server import RedisServer, running_redis

ROOT = Path(__file__).parents[2]
WRITER = """
import asyncio, sys
from pathlib import Path
from feature_store.item_schemas import item_of
from feature_store.item_store_opening import open_items
async def main():
    async with open_items(sys.argv[1]) as items:
        await items.upsert([item_of({"item_id": "b", "title": "by another"}, vertical="films")])
        await items.remove("films", ["a"])
asyncio.run(main())
"""

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


class TestInMemoryItems(ItemStoreContract):
    @pytest.fixture
    def items(self) -> ItemStore:
        return InMemoryItemStore(KEPT_REMOVALS)


class TestSQLiteItems(ItemStoreContract):
    @pytest.fixture
    async def items(self, tmp_path: Path) -> AsyncIterator[ItemStore]:
        async with open_sqlite_items(tmp_path / "items.sqlite", kept_removals=KEPT_REMOVALS) as items:
            yield items


class TestRedisItems(ItemStoreContract):
    @pytest.fixture
    async def items(self, server: RedisServer) -> AsyncIterator[ItemStore]:
        with server.client() as client:
            client.flushall()
        async with open_redis_items(RedisSettings(url=server.url), kept_removals=KEPT_REMOVALS) as items:
            yield items


IDS = st.sampled_from("abcdefg")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.tuples(IDS, st.sampled_from(["", "x"])), max_size=4)),
        st.tuples(st.just("remove"), st.lists(IDS, max_size=4)),
        st.tuples(st.just("follow"), st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 5))),
    ),
    max_size=25,
)


async def replayed(items: ItemStore, steps: list[tuple[str, object]]) -> list[object]:
    said: list[object] = []
    for step in steps:
        match step:
            case ("put", list(pairs)):
                said.append(await items.upsert([film(item_id, title) for item_id, title in pairs]))
            case ("remove", list(item_ids)):
                said.append(await items.remove("films", item_ids))
            case ("follow", (int(version), int(floor), int(most))):
                said.append(await items.changes_since("films", Mark(version, floor), most))
        said += [await items.count("films"), await items.version("films"), await items.get_many("films", "abcdefg")]
    return said


@settings(max_examples=25)
@given(steps=STEPS)
def test_all_stores_say_the_same(server: RedisServer, steps: list[tuple[str, object]]) -> None:
    async def on_sqlite() -> list[object]:
        with tempfile.TemporaryDirectory() as folder:
            async with open_sqlite_items(Path(folder, "items.sqlite"), kept_removals=KEPT_REMOVALS) as items:
                return await replayed(items, steps)

    async def on_redis() -> list[object]:
        with server.client() as client:
            client.flushall()
        async with open_redis_items(RedisSettings(url=server.url), kept_removals=KEPT_REMOVALS) as items:
            return await replayed(items, steps)

    in_memory = asyncio.run(replayed(InMemoryItemStore(KEPT_REMOVALS), steps))
    assert asyncio.run(on_sqlite()) == in_memory
    assert asyncio.run(on_redis()) == in_memory


@given(steps=STEPS, most=st.integers(1, 4), kept=st.integers(0, 3))
def test_a_follower_has_what_the_store_has(steps: list[tuple[str, object]], most: int, kept: int) -> None:
    """After every step, however many removals were forgotten between two looks of a lazy one."""

    async def followed() -> None:
        items, mark, known = InMemoryItemStore(kept), START, dict[str, StoredItem]()
        for number, step in enumerate(steps):
            await replayed(items, [step])
            if number % 5:
                continue
            more, first = True, True
            while more:
                changes: Changes = await items.changes_since("films", mark, most)
                if changes.anew:
                    assert first
                    known.clear()
                for item_id in changes.removed:
                    known.pop(item_id, None)
                for item in await items.get_many("films", changes.changed):
                    assert item is not None
                    known[item.item_id] = item
                mark, more, first = changes.mark, changes.more, False
            there = [item for item in await items.get_many("films", "abcdefg") if item]
            assert known == {item.item_id: item for item in there}

    asyncio.run(followed())


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_what_another_process_puts_is_seen_at_once(kind: str, tmp_path: Path, server: RedisServer) -> None:
    with server.client() as client:
        client.flushall()
    where = str(tmp_path / "items.sqlite") if kind == "sqlite" else server.url
    async with open_items(where) as items:
        await items.upsert([film("a"), film("b", "ours")])
        known = await items.version("films")
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, where, cwd=ROOT)
        assert await asyncio.wait_for(writer.wait(), 60) == 0
        assert (await items.get_many("films", ["a", "b"])) == [None, film("b", "by another")]
        assert (await items.changes_since("films", Mark(known)))[1:3] == (("b",), ("a",))


async def test_items_of_a_file_are_there_when_it_is_opened_again(tmp_path: Path) -> None:
    async with open_sqlite_items(tmp_path / "items.sqlite") as items:
        await items.upsert([film("a", "kept")])
    async with open_sqlite_items(tmp_path / "items.sqlite") as items:
        assert await items.get_many("films", ["a"]) == [film("a", "kept")]


async def test_a_write_that_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    """The file takes no more of that id: the second item of the call cannot be written."""
    path = tmp_path / "items.sqlite"
    async with open_sqlite_items(path) as items:
        await items.upsert([film("a", "before")])
        with closing(sqlite3.connect(path)) as other:
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON items WHEN new.item_id = 'full' BEGIN "
                "SELECT RAISE(ABORT, 'no room'); END"
            )
        with pytest.raises(sqlite3.IntegrityError):
            await items.upsert([film("a", "after"), film("full")])
        assert await items.get_many("films", ["a", "full"]) == [film("a", "before"), None]
        assert (await items.version("films"), await items.count("films")) == (1, 1)


async def test_bytes_that_are_no_item_are_named(tmp_path: Path, server: RedisServer) -> None:
    async with open_sqlite_items(tmp_path / "items.sqlite") as items:
        await items.upsert([film("a")])
        with closing(sqlite3.connect(tmp_path / "items.sqlite")) as other:
            other.execute("UPDATE items SET content = X'7B7D'")
            other.commit()
        with pytest.raises(CorruptStore, match="2 bytes are no item"):
            await items.get_many("films", ["a"])


async def test_a_server_that_is_gone_is_said() -> None:
    settings = RedisSettings(url="redis://127.0.0.1:1", retries=0, connect_seconds=0.5)
    async with open_redis_items(settings) as items:
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
            await items.count("films")
