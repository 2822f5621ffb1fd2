"""A catalogue is followed: whatever happens in the store, the assortment comes to have the same."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import StoreUnavailable
from feature_store.item_schemas import PlainItem, StoredItem
from feature_store.item_store import START, Changes, ItemStore, Mark
from feature_store.item_store_memory import InMemoryItemStore
from feature_store.item_store_sqlite import open_sqlite_items
from serving.assortment.assortment import Assortment
from serving.assortment.following import Follower, follow, measure
from serving.assortment.stock import Stock
from serving.metrics import create_metrics
from serving.model import build_model
from tests.serving.published import Publisher, draft

FILMS = "films"
ids = st.integers(0, 8).map("item-{}".format)
steps = st.lists(st.one_of(st.tuples(st.just("put"), ids, st.sampled_from("xy")), st.tuples(st.just("remove"), ids)))


def film(item_id: str, title: str = "x") -> PlainItem:
    return PlainItem(item_id=item_id, vertical=FILMS, title=title)


def shown(assortment: Assortment) -> dict[str, str]:
    places = np.flatnonzero(assortment.open_at(0.0)).tolist()
    return {assortment.item_id(place): item.title for place in places if (item := assortment.item(place))}


@given(st.lists(steps, max_size=4), st.integers(0, 3))
@settings(deadline=None)
def test_after_catching_up_both_have_the_same(rounds: list[list[tuple[str, ...]]], kept_removals: int) -> None:
    """Also where removals were forgotten in between, so that the catalogue has to be read anew."""

    async def run() -> None:
        store = InMemoryItemStore(kept_removals)
        assortment = Assortment(None, (), has_catalogue=True)
        follower = Follower(FILMS, store, assortment)
        expected: dict[str, str] = {}
        for taken in rounds:
            for what, item_id, *title in taken:
                if what == "put":
                    await store.upsert([film(item_id, title[0])])
                    expected[item_id] = title[0]
                else:
                    await store.remove(FILMS, [item_id])
                    expected.pop(item_id, None)
            await follower.catch_up()
            assert shown(assortment) == expected

    asyncio.run(run())


class Away(InMemoryItemStore):
    """A store that cannot be reached for some time."""

    is_away = False
    asked = 0

    async def changes_since(self, vertical: str, mark: Mark = START, most: int = 1000) -> Changes:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return await super().changes_since(vertical, mark, most)


class PausedAnew(InMemoryItemStore):
    """Reading it anew takes two pages, and what is shown between them is noted."""

    def __init__(self, assortment: Assortment) -> None:
        super().__init__(kept_removals=0)
        self.between: list[set[str]] = []
        self._assortment = assortment

    async def changes_since(self, vertical: str, mark: Mark = START, most: int = 1000) -> Changes:
        return await super().changes_since(vertical, mark, 2)

    async def get_many(self, vertical: str, item_ids: Sequence[str]) -> list[StoredItem | None]:
        self.between.append(set(shown(self._assortment)))
        return await super().get_many(vertical, item_ids)


def test_while_a_catalogue_is_read_anew_nothing_that_it_still_has_is_missing() -> None:
    async def run() -> None:
        assortment = Assortment(None, (), has_catalogue=True)
        store = PausedAnew(assortment)
        follower = Follower(FILMS, store, assortment)
        await store.upsert([film(f"item-{n}") for n in range(5)])
        await follower.catch_up()
        await store.remove(FILMS, ["item-3"])
        await store.upsert([film("item-9")])
        store.between.clear()
        await follower.catch_up()
        assert set(shown(assortment)) == {"item-0", "item-1", "item-2", "item-4", "item-9"}
        assert all(seen >= {"item-0", "item-1", "item-2", "item-4"} for seen in store.between)

    asyncio.run(run())


def test_a_store_that_is_away_leaves_what_is_shown_and_is_caught_up_with() -> None:
    async def run() -> None:
        store, assortment = Away(), Assortment(None, (), has_catalogue=True)
        followers = [Follower(FILMS, store, assortment)]
        task = asyncio.create_task(follow(lambda: followers, 0.001))
        await store.upsert([film("a")])
        await _until(lambda: set(shown(assortment)) == {"a"})
        store.is_away, asked = True, store.asked
        await store.upsert([film("b")])
        await _until(lambda: store.asked > asked + 1)
        assert set(shown(assortment)) == {"a"}
        store.is_away = False
        await _until(lambda: set(shown(assortment)) == {"a", "b"})
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


class Unforeseen(InMemoryItemStore):
    """A store of which one vertical cannot be read, in a way that nobody foresaw."""

    async def changes_since(self, vertical: str, mark: Mark = START, most: int = 1000) -> Changes:
        if vertical == "news":
            raise ZeroDivisionError
        return await super().changes_since(vertical, mark, most)


def test_a_catalogue_that_cannot_be_read_keeps_no_other_from_being_followed_and_is_marked() -> None:
    async def run() -> None:
        store = Unforeseen()
        news, films = (Assortment(None, (), has_catalogue=True) for _ in range(2))
        followers = [Follower("news", store, news), Follower(FILMS, store, films)]
        await store.upsert([film("a")])
        for follower in followers:
            await follower.look(0.01)
        assert (set(shown(films)), films.is_stale, news.is_stale) == ({"a"}, False, True)
        assert followers[0].failure == "ZeroDivisionError"
        metrics = create_metrics()
        measure(followers, metrics)
        stale = {
            v: metrics.registry.get_sample_value("hearth_catalogue_stale", {"vertical": v}) for v in ("news", FILMS)
        }
        assert stale == {"news": 1.0, FILMS: 0.0}

    asyncio.run(run())


def test_after_a_long_outage_a_catalogue_is_read_again_within_two_seconds_and_is_not_stale_then() -> None:
    async def run() -> None:
        store, assortment = Away(), Assortment(None, (), has_catalogue=True)
        follower = Follower(FILMS, store, assortment)
        store.is_away = True
        await follower.look(0.6)
        assert assortment.is_stale
        waits = []
        for _ in range(3):
            begun, before = time.monotonic(), store.asked
            async with asyncio.timeout(20):
                while store.asked == before:
                    await follower.look(0.6)
                    await asyncio.sleep(0.01)
            waits.append(time.monotonic() - begun)
        assert 1.7 < waits[-1] < 2.5
        store.is_away = False
        async with asyncio.timeout(20):
            while assortment.is_stale:
                await follower.look(0.6)
                await asyncio.sleep(0.01)

    asyncio.run(run())


def test_an_item_that_cannot_be_read_is_hidden_until_it_is_put_again_and_the_others_are_followed(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with catalogue(tmp_path) as store:
            assortment = Assortment(None, (), has_catalogue=True)
            follower = Follower(FILMS, store, assortment)
            await store.upsert([film(f"item-{n}") for n in range(9)])
            await follower.look(0.01)
            with contextlib.closing(sqlite3.connect(tmp_path / "items.sqlite", timeout=10.0)) as connection:
                for number, content in ((3, b'{"type":"item","item_id":"item-3","later":1}'), (6, 7)):
                    changed = "UPDATE items SET content = ?, version = ? WHERE item_id = ?"
                    connection.execute(changed, (content, 100 + number, f"item-{number}"))
                connection.execute("UPDATE verticals SET version = 106")
                connection.commit()
            await store.upsert([film("item-8", "y"), film("item-9")])
            await follower.look(0.01)
            assert follower.failure is None
            assert follower.unreadable == {"item-3", "item-6"}
            assert set(shown(assortment)) == {f"item-{n}" for n in (0, 1, 2, 4, 5, 7, 8, 9)}
            assert shown(assortment)["item-8"] == "y"
            await store.upsert([film("item-3")])
            await follower.look(0.01)
            assert follower.unreadable == {"item-6"}
            assert "item-3" in shown(assortment)

    asyncio.run(run())


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing here tells of the change
            await asyncio.sleep(0.001)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@contextlib.asynccontextmanager
async def catalogue(folder: Path) -> AsyncIterator[ItemStore]:
    async with open_sqlite_items(folder / "items.sqlite") as items:
        yield items


def test_each_model_gets_assortments_of_its_own_with_what_the_catalogue_says(
    publisher: Publisher, tmp_path: Path
) -> None:
    first, second = (build_model(publisher.registry.load(publisher.publish(draft(seed)))) for seed in (1, 2))

    async def run() -> None:
        async with catalogue(tmp_path) as store:
            await store.upsert([film("item-7", "seven"), film("new", "one")])
            stock = Stock(store, [FILMS])
            one = await stock.for_model(first)
            assert shown(one[FILMS]) == {"item-7": "seven", "new": "one"}
            assert one[None].open_at(0.0).all()
            await store.upsert([film("item-8", "eight")])
            for follower in stock.followers():
                await follower.catch_up()
            two = await stock.for_model(second)
            assert shown(two[FILMS]) == shown(one[FILMS]) == {"item-7": "seven", "item-8": "eight", "new": "one"}
            await store.remove(FILMS, ["item-7"])
            for follower in stock.followers():
                await follower.catch_up()
            assert shown(two[FILMS]) == {"item-8": "eight", "new": "one"}

    asyncio.run(run())


def test_a_model_that_comes_while_the_store_is_away_shows_what_was_shown_before(publisher: Publisher) -> None:
    first, second = (build_model(publisher.registry.load(publisher.publish(draft(seed)))) for seed in (1, 2))

    async def run() -> None:
        store = Away()
        await store.upsert([film("item-7"), film("new")])
        stock = Stock(store, [FILMS])
        one = await stock.for_model(first)
        store.is_away = True
        two = await stock.for_model(second)
        assert shown(two[FILMS]) == shown(one[FILMS])
        store.is_away = False
        await store.remove(FILMS, ["new"])
        for follower in stock.followers():
            await follower.catch_up()
        assert set(shown(two[FILMS])) == {"item-7"}

    asyncio.run(run())
