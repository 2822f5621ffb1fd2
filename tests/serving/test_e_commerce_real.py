"""A shop's real orders: a model of the time before November, its catalogue, and the baskets of November."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_store.item_schemas import Product
from feature_store.item_store import items_of
from feature_store.item_store_sqlite import open_sqlite_items
from serving.config import ServingConfig
from serving.placements.settings import Placement
from serving.recommend import recommend
from serving.request import RecommendationRequest
from tests.hearth.command import Command
from tests.serving.items_file import put
from tests.serving.published import view_of
from tests.serving.running import Server, started
from tests.serving.stocked import ids
from tests.serving.trained import DATA, Trained, needs_data, rows_of, trained_before

pytestmark = [pytest.mark.slow, needs_data]

SHOP = "e-commerce"
NOVEMBER = 1320105600.0
PLACEMENTS = {
    "front-page": Placement.model_validate(
        {
            "vertical": SHOP,
            "sources": [{"kind": "personal"}, {"kind": "fresh", "share": 0.1}],
            "repeats": {"show": {"price": {"max": 0.5}}},
            "rules": [{"when": {"price": {"max": 2.0}}, "then": "boost", "factor": 1.3}],
            "diversity": {"method": "dpp", "weight": 0.2},
        }
    ),
    "product-page": Placement.model_validate({"vertical": SHOP, "sources": [{"kind": "similar"}]}),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_before(NOVEMBER, "online_retail", SHOP, tmp_path_factory.mktemp("retail"), item_item=2000)


@pytest.fixture(scope="module")
def goods(trained: Trained) -> dict[str, Product]:
    """The catalogue as it was imported, and every third item sold out."""
    file = trained.registry.parent / "items.sqlite"
    columns = ("--column", "price=price_gbp", "--set", "currency=GBP")
    table = Path(str(DATA)) / "online_retail" / "items.csv.gz"
    Command(trained.registry.parent).run("items", "import", table, "--vertical", SHOP, "--store", file, *columns)

    async def stocked() -> dict[str, Product]:
        async with open_sqlite_items(file) as store:
            there = [item async for item in items_of(store, SHOP) if isinstance(item, Product)]
            counted = [item.model_copy(update={"stock": n % 3}) for n, item in enumerate(there)]
            await store.upsert(counted)
        return {item.item_id: item for item in counted}

    return asyncio.run(stocked())


@pytest.fixture(scope="module")
def server(trained: Trained, goods: dict[str, Product]) -> Iterator[Server]:
    folder = trained.registry.parent
    config = ServingConfig(
        registry=trained.registry,
        trusted_keys=(trained.public_key,),
        items=folder / "items.sqlite",
        placements=PLACEMENTS,
        port=0,
    )
    with started(config, folder) as server:
        server.serves(trained.model.model_id)
        yield server


@pytest.fixture(scope="module")
def baskets() -> list[list[str]]:
    """Those of November and December with two items or more."""
    found = defaultdict[str, set[str]](set)
    for row in rows_of("online_retail", "interactions.csv.gz"):
        if row["event"] == "purchase" and float(row["timestamp"]) >= NOVEMBER:
            found[row["invoice"]].add(row["item_id"])
    return [sorted(items) for _, items in sorted(found.items()) if len(items) > 1]


def test_lists_of_real_baskets_keep_to_the_rules(
    server: Server, goods: dict[str, Product], baskets: list[list[str]], trained: Trained
) -> None:
    for basket in baskets[:60]:
        session = [{"item_id": item_id} for item_id in basket[:50]]
        body = {"k": 20, "session_events": session, "filters": {"price": {"min": 0.3, "max": 4.0}}}
        items = server.recommend("front-page", **body).json()["items"]
        assert len({item["item_id"] for item in items}) == 20
        for item in items:
            product = goods[item["item_id"]]
            assert product.in_stock
            assert product.price is not None
            assert 0.3 <= product.price <= 4
            assert item["item_id"] not in basket[:50] or product.price <= 0.5
        new = [item for item in items if item["item_id"] not in trained.model.checkpoint.vocabulary]
        assert len(new) >= 2


def test_what_is_sold_out_is_gone_within_a_second(server: Server, goods: dict[str, Product], trained: Trained) -> None:
    first = server.recommend("front-page", k=1).json()["items"][0]["item_id"]
    put(trained.registry.parent / "items.sqlite", [goods[first].model_copy(update={"stock": 0})])
    end = time.monotonic() + 1.0
    while first in [item["item_id"] for item in server.recommend("front-page", k=50).json()["items"]]:
        assert time.monotonic() < end


def test_what_goes_with_an_item_is_in_its_basket_more_often_than_what_is_popular(
    trained: Trained, baskets: list[list[str]]
) -> None:
    """And the weights of what is met together help beside the vectors."""
    model, random = trained.model, np.random.default_rng(1)
    assert model.item_item is not None
    views = {
        "together": view_of(model, SHOP, sources=[{"kind": "similar"}]),
        "alike": view_of(replace(model, item_item=None), SHOP, sources=[{"kind": "similar"}]),
        "popular": view_of(model, SHOP, sources=[{"kind": "popular"}]),
    }
    found = defaultdict[str, list[bool]](list)
    for basket in baskets[:600]:
        items = [item_id for item_id in basket if item_id in model.checkpoint.vocabulary]
        if len(items) < 2:
            continue
        about = items[random.integers(len(items))]
        for name, view in views.items():
            listed = ids(recommend(RecommendationRequest(10, like_item_id=about), None, view))
            found[name].append(bool(set(listed) & set(items)))
    assert np.mean(found["together"]) > np.mean(found["alike"]) > np.mean(found["popular"])
