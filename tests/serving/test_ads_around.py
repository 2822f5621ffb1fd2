"""Rules and shares of a placement hold in the list that people see, ads and all."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from feature_store.item_schemas import PlainItem
from serving.ads.replying import with_ads
from serving.assortment.assortment import Assortment
from serving.model import ServingModel
from serving.placements.settings import Placement
from serving.recommend import RankedItem, recommend
from serving.request import RecommendationRequest
from serving.view import View
from tests.serving.ad_shop import NOON, Shop, ad, in_memory, model

__all__ = ["model"]  # the fixture


def shown(model: ServingModel, k: int, sponsored: dict[str, int], ads: int = 9, **placement: Any) -> list[RankedItem]:
    """A list of films with ads among them."""
    shop = Shop(model, [ad(f"ad-{n}") for n in range(ads)])
    films = Assortment(model.everything, [f"item-{row}" for row in range(60)], has_catalogue=True)
    films.put([PlainItem(item_id=f"item-{row}", vertical="films") for row in range(60)])
    home = Placement.model_validate({"sponsored": {"placement": "ads", **sponsored}, **placement})
    view, asked = View(home, model, films, NOON, 1), RecommendationRequest(k)

    async def listed() -> Sequence[RankedItem]:
        desk = await shop.desk(in_memory())
        return (await with_ads(recommend(asked, None, view), asked, None, view, shop.view(), desk, "r1")).items

    return list(asyncio.run(listed()))


def rule(position: int, item_id: str = "item-7") -> dict[str, Any]:
    return {"when": {"item_id": item_id}, "then": "promote", "position": position}


@pytest.mark.parametrize("position", range(1, 12))
def test_a_promoted_item_stands_where_its_rule_says_or_right_behind_the_ad_that_does(
    model: ServingModel, position: int
) -> None:
    items = shown(model, 10, {"first": 3, "gap": 4}, rules=[rule(position)])
    assert [item.rank for item in items if item.source == "ad"] == [3, 8]
    assert len({item.item_id for item in items}) == len(items) == 10
    expected = {3: [4], 8: [9], 11: []}.get(position, [position])
    assert [item.rank for item in items if item.source == "promoted"] == expected


def test_an_item_promoted_to_the_end_stands_before_an_ad_that_has_it(model: ServingModel) -> None:
    items = shown(model, 8, {"first": 3, "gap": 4}, rules=[rule(8)])
    assert [item.rank for item in items if item.source in {"ad", "promoted"}] == [3, 7, 8]
    assert [item.source for item in shown(model, 1, {"first": 1}, rules=[rule(1)])] == ["ad"]


def test_shares_are_of_the_items_beside_the_ads(model: ServingModel) -> None:
    pinned = {"kind": "pinned", "items": [f"item-{row}" for row in range(50, 60)], "share": 0.3}
    sources, sponsored = [pinned, {"kind": "personal"}], {"first": 1, "gap": 1, "most": 4}
    items = shown(model, 9, sponsored, sources=sources)
    assert [item.rank for item in items if item.source == "ad"] == [1, 3, 5, 7]
    assert (
        sum(item.source == "pinned" for item in items) == 2
    )  # of five, 1.5 and so two; of the nine, one came so early
    assert sum(item.source == "pinned" for item in shown(model, 5, sponsored, ads=0, sources=sources)) == 2
