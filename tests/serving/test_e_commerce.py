"""A shop over HTTP, by the placements of the example, on a catalogue that changes."""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_store.item_item import ItemItem
from feature_store.item_schemas import Product, StoredItem
from serving.placements.file import parse_placements
from tests.serving.items_file import put
from tests.serving.published import Publisher
from tests.serving.running import ROOT, Server, config_of, started
from tests.serving.stocked import content_of

SHOP = "e-commerce"
EXAMPLE = ROOT / "examples" / "placements" / "e-commerce.toml"
PLACEMENTS = parse_placements(EXAMPLE, EXAMPLE.read_bytes())
WEIGHTS = np.zeros((2, 2), np.float32)
WEIGHTS[0, 1] = 0.5
CONTENT = content_of(SHOP, item_item=ItemItem(np.array([3, 10], np.int32), WEIGHTS))


def product(item_id: str, **fields: Any) -> Product:
    return Product.model_validate({"item_id": item_id, "vertical": SHOP, "stock": 5, "currency": "EUR", **fields})


def goods() -> dict[str, StoredItem]:
    """Prices of 0.50 to 30, a brand for every six items, every tenth a grocery, and some of what rules are about."""
    known = {
        f"item-{n}": product(
            f"item-{n}",
            price=Decimal(n + 1) / 2,
            brand=f"brand-{n // 6}",
            categories=("groceries",) if n % 10 == 4 else ("things", "wooden") if n % 2 else ("things",),
        )
        for n in range(60)
    }
    further = [product("tea-chest"), product("lantern", stock=0), product("wool-blanket"), product("novelty")]
    recalled = known["item-0"].model_copy(update={"labels": {"recalled": ("yes",)}})
    return known | {item.item_id: item for item in further} | {"item-0": recalled}


GOODS = goods()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("shop")
    publisher = Publisher(folder)
    model_id = publisher.publish(CONTENT)
    put(folder / "items.sqlite", [*GOODS.values()])
    config = config_of(publisher, store=folder / "store.sqlite", items=folder / "items.sqlite", placements=PLACEMENTS)
    with started(config, folder) as server:
        server.serves(model_id)
        yield server, folder


def listed(server: Server, placement: str = "front-page", **body: object) -> list[str]:
    response = server.recommend(placement, **{"k": 100, **body})
    assert response.status_code == 200, response.text
    return [item["item_id"] for item in response.json()["items"]]


def within_a_second(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 1.0
    while not condition():
        assert time.monotonic() < end, "it was still so after a second"


def test_all_that_can_be_sold_and_is_not_recalled_can_be_shown(shop: tuple[Server, Path]) -> None:
    assert set(listed(shop[0], "product-page")) == set(GOODS) - {"lantern"}  # its rules do not know of recalls
    found = listed(shop[0])
    assert "item-0" not in found
    # Three of each of the ten brands, and what has none.
    assert len(found) == 30 + 3
    assert {"tea-chest", "wool-blanket", "novelty"} <= set(found)


def test_what_is_sold_out_is_gone_within_a_second_and_back_when_it_is_there_again(shop: tuple[Server, Path]) -> None:
    server, folder = shop
    assert "item-7" in listed(server, "product-page")
    put(folder / "items.sqlite", [GOODS["item-7"].model_copy(update={"stock": 0})])
    within_a_second(lambda: "item-7" not in listed(server, "product-page"))
    put(folder / "items.sqlite", [GOODS["item-7"]])
    within_a_second(lambda: "item-7" in listed(server, "product-page"))


def test_a_new_product_is_shown_within_a_second_and_a_removed_one_no_more(shop: tuple[Server, Path]) -> None:
    server, folder = shop
    put(folder / "items.sqlite", [product("brand-new")])
    within_a_second(lambda: "brand-new" in listed(server))
    removed = server.client.delete("/v1/items/brand-new", params={"vertical": SHOP})
    assert removed.status_code == 204, removed.text
    within_a_second(lambda: "brand-new" not in listed(server))


def test_a_request_filters_by_price_and_category(shop: tuple[Server, Path]) -> None:
    filters = {"price": {"min": 3, "max": 10.5}, "categories": ["wooden"]}
    expected = {f"item-{n}" for n in range(5, 21) if n % 2}
    assert set(listed(shop[0], "product-page", filters=filters)) == expected
    for named in ({"colour": ["red"]}, {"price": ["3"]}, {"brand": {"max": 3}}):
        refused = shop[0].recommend("front-page", filters=named)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == f"#/filters/{next(iter(named))}"


def test_filters_that_leave_few_still_fill_the_list_from_all_that_there_is(shop: tuple[Server, Path]) -> None:
    filters = {"item_id": ["item-59", "item-58", "novelty", "lantern"]}
    assert sorted(listed(shop[0], k=3, filters=filters)) == ["item-58", "item-59", "novelty"]


def test_what_was_bought_comes_again_where_it_is_used_up(shop: tuple[Server, Path]) -> None:
    server, _ = shop
    bought = ("item-14", "item-15", "novelty")
    for n, item_id in enumerate(bought):
        event = {"event_id": f"{n}", "user_id": "anna", "item_id": item_id, "event": "purchase", "vertical": SHOP}
        assert server.post(event).json()["events"][0]["status"] == 201
    filters = {"item_id": [*bought, "item-17"]}
    assert sorted(listed(server, user_id="anna", filters=filters)) == ["item-14", "item-17"]
    assert sorted(listed(server, filters=filters)) == sorted([*bought, "item-17"])


def test_what_goes_with_a_product_comes_first_beside_it(shop: tuple[Server, Path]) -> None:
    reply = shop[0].recommend("product-page", k=9, like_item_id="item-3").json()
    assert reply["items"][0]["item_id"] == "item-10"  # met together, and of the other half of the axes
    assert all(int(item["item_id"].removeprefix("item-")) % 2 for item in reply["items"][1:])
    assert {item["source"] for item in reply["items"]} == {"similar"}
    assert "item-3" not in listed(shop[0], "product-page", like_item_id="item-3")


def test_the_editors_choice_comes_first_but_for_what_is_sold_out(shop: tuple[Server, Path]) -> None:
    reply = shop[0].recommend("gift-guide", k=4).json()
    assert [(item["item_id"], item["source"]) for item in reply["items"][:2]] == [
        ("tea-chest", "pinned"),
        ("wool-blanket", "pinned"),
    ]
    assert [item["source"] for item in reply["items"][2:]] == ["popular", "popular"]


def test_what_costs_little_is_raised(shop: tuple[Server, Path]) -> None:
    """Of somebody of whom nothing is known, and without diversity: by how many met each item, times 1.2 up to 10."""
    counts = CONTENT.item_counts.astype(np.float64)
    raised = {f"item-{n}": count * (1.2 if (n + 1) / 2 <= 10 else 1.0) for n, count in enumerate(counts)}
    reply = shop[0].recommend("front-page", k=100, diversity=0).json()
    scores = {item["item_id"]: item["score"] for item in reply["items"] if "score" in item}
    assert scores == pytest.approx({item_id: raised[item_id] for item_id in scores})
    by_value = [item["score"] for item in reply["items"] if item["source"] == "popular"]
    assert by_value == sorted(by_value, reverse=True)


def test_a_tenth_of_the_list_is_new_in_the_catalogue(shop: tuple[Server, Path]) -> None:
    reply = shop[0].recommend("front-page", k=20).json()
    assert [item["rank"] for item in reply["items"] if item["source"] == "fresh"] == [10, 20]
