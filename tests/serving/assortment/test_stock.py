"""The assortments of a model that comes while others answer: made bit by bit, and behind nothing that was shown."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from feature_store.item_schemas import Article, PlainItem, Product
from feature_store.item_store_memory import InMemoryItemStore
from feature_store.item_store_sqlite import open_sqlite_items
from serving.assortment.assortment import item_names
from serving.assortment.stock import Stock
from serving.model import ServingModel, build_model
from tests.serving.published import Publisher, draft

FILMS = "films"
ITEMS = 640


@pytest.fixture
def models(tmp_path: Path) -> list[ServingModel]:
    publisher = Publisher(tmp_path)
    return [build_model(publisher.registry.load(publisher.publish(draft(seed)))) for seed in (1, 2)]


def films() -> list[PlainItem]:
    return [PlainItem(item_id=f"film-{number}", vertical=FILMS) for number in range(ITEMS)]


async def stocked(model: ServingModel) -> tuple[Stock, InMemoryItemStore]:
    store = InMemoryItemStore()
    stock = Stock(store, [FILMS])
    await store.upsert(films())
    stock.shown = await stock.for_model(model)
    return stock, store


def test_others_have_many_turns_while_a_catalogue_is_taken_over(models: list[ServingModel]) -> None:
    async def run() -> None:
        stock, _ = await stocked(models[0])
        made = asyncio.create_task(stock.for_model(models[1]))
        turns = 0
        while not made.done():
            await asyncio.sleep(0.0005)
            turns += 1
        assert turns >= 10
        assert len((await made)[FILMS].items()) == ITEMS

    asyncio.run(run())


def test_what_changes_while_a_catalogue_is_taken_over_is_so_in_the_new_assortment(models: list[ServingModel]) -> None:
    """The first item has been taken over by then; and whoever followed the catalogue until now has seen the change."""

    async def run() -> None:
        stock, store = await stocked(models[0])
        made = asyncio.create_task(stock.for_model(models[1]))
        await asyncio.sleep(0.01)
        await store.remove(FILMS, ["film-0"])
        [follower] = stock.followers()
        await follower.catch_up()
        assert not made.done()
        shown = (await made)[FILMS]
        place = shown.place("film-0")
        assert place is not None
        assert not shown.open_at(0.0)[place]
        assert np.count_nonzero(shown.open_at(0.0)) == ITEMS - 1

    asyncio.run(run())


def test_what_another_model_has_of_a_catalogue_is_not_read_again_and_is_in_memory_once(
    models: list[ServingModel], tmp_path: Path
) -> None:
    async def run() -> None:
        async with open_sqlite_items(tmp_path / "items.sqlite") as store:  # which gives a new object at each reading
            await store.upsert(films())
            stock = Stock(store, [FILMS])
            theirs = (await stock.for_model(models[0]))[FILMS]
            await store.upsert([PlainItem(item_id="film-1", vertical=FILMS, title="changed")])
            ours = (await Stock(store, [FILMS], stock).for_model(models[1]))[FILMS]
        for item_id, is_same in (("film-0", True), ("film-1", False)):
            places = [shown.place(item_id) for shown in (theirs, ours)]
            items = [shown.item(place or 0) for shown, place in zip((theirs, ours), places, strict=True)]
            assert (items[0] is items[1]) == is_same
        assert len(ours.items()) == ITEMS
        changed = ours.item(ours.place("film-1") or 0)
        assert changed is not None
        assert changed.title == "changed"

    asyncio.run(run())


def test_a_stock_that_was_cleared_shows_nothing_until_there_is_another_model(models: list[ServingModel]) -> None:
    async def run() -> None:
        stock, _ = await stocked(models[0])
        stock.clear()
        assert not stock.shown
        assert not stock.followers()
        assert len((await stock.for_model(models[1]))[FILMS].items()) == ITEMS

    asyncio.run(run())


def test_each_type_of_item_has_the_names_of_its_own_fields() -> None:
    product = Product(item_id="a", vertical="shop", brand="b", categories=("c",), labels={"colour": ("red", "blue")})
    assert item_names(product) == {"brand": ("b",), "categories": ("c",), "colour": ("red", "blue")}
    article = Article(item_id="a", vertical="news", published=1.0, topic="t", source="s")
    assert item_names(article) == {"topic": ("t",), "source": ("s",)}
    assert item_names(Article(item_id="a", vertical="news", published=1.0)) == {}
