"""The desk: which ads it shows of any catalogue, in which order, and at which price."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_store.ad_counters import Budget, Cap
from feature_store.errors import StoreUnavailable
from feature_store.item_schemas import Ad, PlainItem
from serving.ads.lineup import Placed
from serving.ads.replying import with_ads
from serving.ads.settings import AdsSettings
from serving.assortment.assortment import Assortment
from serving.model import ServingModel
from serving.placements.settings import Placement
from serving.recommend import recommend
from serving.request import RecommendationRequest
from serving.view import View
from tests.serving.ad_shop import EUROS, NOON, Shop, ad, in_memory, model, names, of_new_desk, replace_settings
from tests.serving.published import blended, draft

__all__ = ["model"]  # the fixture

SAFETY = ("general", "sensitive", "restricted", "unrated")
ads_strategy = st.lists(
    st.fixed_dictionaries(
        {
            "bid": st.sampled_from(["0.05", "0.20", "0.50", "0.90"]),
            "safety": st.sampled_from(["general", "general", *SAFETY]),
            "currency": st.sampled_from(["EUR"] * 5 + ["USD"]),
            "advertiser": st.sampled_from(["tea", "milk", "rye"]),
            "campaign": st.sampled_from([None, "spring", "autumn"]),
            "starts": st.sampled_from([None, None, None, NOON - 1, NOON + 1]),
            "ends": st.sampled_from([None, None, None, NOON, NOON + 2]),
            "targeting": st.sampled_from([{}, {}, {}, {"region": ("DE",)}, {"hour": ("9",), "region": ("DE", "AT")}]),
            "frequency_cap": st.sampled_from([None, None, 1, 2]),
            "budget": st.sampled_from([None, "1.00"]),
            "daily_budget": st.sampled_from([None, "0.90"]),
        }
    ).filter(lambda fields: fields["starts"] is None or fields["ends"] is None or fields["ends"] > fields["starts"]),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ads_strategy,
    st.sampled_from(["any", "general", "sensitive"]),
    st.sampled_from([{}, {"region": "DE"}, {"region": "FR"}]),
    st.sampled_from([None, "anna"]),
    st.lists(st.tuples(st.sampled_from(["spring", "autumn"]), st.integers(1, 900_000)), max_size=3),
    st.sampled_from([None, 1, 2]),
    st.integers(1, 9),
)
def test_of_any_catalogue_all_are_shown_that_may_be_and_none_else(
    model: ServingModel,
    fields: list[dict[str, Any]],
    safety: Any,
    attributes: dict[str, str],
    person: str | None,
    costs: list[tuple[str, int]],
    most: int | None,
    k: int,
) -> None:
    ads = [ad(f"ad-{n}", **of) for n, of in enumerate(fields)]
    caps = {} if most is None else {"caps": [{"field": "advertiser", "most": most}]}
    shop = Shop(model, ads, AdsSettings(currency="EUR", safety=safety, pace="off", reserve=Decimal("0.10")), caps)

    async def shown() -> tuple[list[Placed], dict[str, int], dict[str, int]]:
        books = in_memory()
        for n, (campaign, micros) in enumerate(costs):
            await books.counters.try_spend(f"ads/EUR/{campaign}", f"earlier-{n}", micros, Budget())
        for one in ads[:4]:  # some that the person has seen
            await books.counters.try_show("anna", Cap(one.item_id, 9), "earlier")
        placed = await shop.ask(await shop.desk(books), k, user_id=person, attributes=attributes, context={"hour": "9"})
        spent = {one.pays_from: (await books.counters.spent(f"ads/EUR/{one.pays_from}")).total for one in ads}
        times = await books.counters.shown("anna", [Cap(one.item_id, 9) for one in ads])
        return placed, spent, dict(zip([one.item_id for one in ads], times, strict=True))

    placed, spent, times = asyncio.run(shown())

    def may(one: Ad) -> bool:
        left = min([Decimal(10**9), *(budget - Decimal(spent[one.pays_from]) / 10**6 for budget in budgets_of(one))])
        classes = SAFETY if safety == "any" else SAFETY[: SAFETY.index(safety) + 1]
        seen = 1 if one in ads[:4] else 0
        return (
            one.currency == "EUR"
            and one.bid >= Decimal("0.10")
            and one.safety in classes
            and one.in_flight_at(NOON)
            and one.reaches({**attributes, "hour": "9"})
            and left >= one.bid
            and (one.frequency_cap is None or (person is not None and seen < one.frequency_cap))
        )

    expected: list[str] = []
    taken: dict[str, int] = {}
    for one in sorted(filter(may, ads), key=lambda one: -one.bid):  # sorted() keeps the catalogue's order in ties
        if len(expected) < k and (most is None or taken.get(one.advertiser, 0) < most):
            expected.append(one.item_id)
            taken[one.advertiser] = taken.get(one.advertiser, 0) + 1
    assert names(shop, placed) == expected
    assert all(Decimal("0.10") * 10**6 <= one.terms.price <= one.terms.bid for one in placed)
    capped = {one.item_id for one in ads if one.frequency_cap is not None}
    for n, one in enumerate(ads):
        counted = one.item_id in expected and one.item_id in capped
        assert times[one.item_id] == int(n < 4) + int(counted)  # no show is counted of what is not shown


def budgets_of(one: Ad) -> list[Decimal]:
    return [budget for budget in (one.budget, one.daily_budget) if budget is not None]


def test_a_class_of_safety_that_nobody_knows_is_shown_nowhere_that_asks_for_one(model: ServingModel) -> None:
    unheard_of = ad("odd").model_copy(update={"safety": "harmless"})
    for safety, expected in (("restricted", []), ("any", ["odd"])):
        shop = Shop(model, [unheard_of], replace_settings(safety=safety))
        assert names(shop, asyncio.run(of_new_desk(shop))) == expected


def test_a_cap_of_the_list_passes_over_ads_and_they_raise_no_price(model: ServingModel) -> None:
    ads = [ad("a", "0.9"), ad("b", "0.8"), ad("c", "0.5", advertiser="milk"), ad("d", "0.4"), ad("e", "0.3")]
    shop = Shop(model, ads, EUROS, {"caps": [{"field": "advertiser", "most": 2}]})
    placed = asyncio.run(of_new_desk(shop, k=4))
    assert names(shop, placed) == ["a", "b", "c"]
    assert [one.terms.price for one in placed] == [800_001, 500_001, 1]


@pytest.mark.parametrize("between", [0, 60])  # more than the counters are asked about at once
def test_an_ad_that_the_person_has_seen_enough_raises_no_price_behind_the_last_of_the_list(
    model: ServingModel, between: int
) -> None:
    seen = [ad(f"seen-{n}", "0.39", frequency_cap=1) for n in range(between + 1)]
    shop = Shop(model, [ad("a", "0.40"), *seen, ad("c", "0.10")])

    async def prices() -> list[int]:
        desk = await shop.desk(in_memory())
        await shop.ask(desk, k=100, reply="r1", user_id="anna")
        placed = [await shop.ask(desk, k=1, reply=f"of-{who}", user_id=who) for who in ("anna", "bert")]
        assert [names(shop, one) for one in placed] == [["a"], ["a"]]
        return [one.terms.price for [one] in placed]

    assert asyncio.run(prices()) == [100_001, 390_001]


def test_an_item_that_is_no_ad_and_a_model_without_a_catalogue_show_nothing(model: ServingModel) -> None:
    shop = Shop(model, [ad("one")])
    shop.shown.put([PlainItem(item_id="plain", vertical="ads")])
    assert names(shop, asyncio.run(of_new_desk(shop))) == ["one"]
    shop.shown = Assortment(model.everything, [f"item-{row}" for row in range(60)], has_catalogue=False)
    assert asyncio.run(of_new_desk(shop)) == []


def test_clicks_and_shows_move_what_is_foreseen_and_with_it_the_order(model: ServingModel) -> None:
    shop = Shop(model, [ad("first", "0.5"), ad("second", "0.5")])

    async def foreseen() -> tuple[list[Placed], list[Placed]]:
        books = in_memory()
        before = await shop.ask(await shop.desk(books))
        desk = await shop.desk(books)
        assert await desk.clicked("anna", "second", "r1") == "paid"
        assert await desk.saw("anna", "first", "r1") == "shown"
        assert await desk.saw("anna", "first", "r1") == "known"
        await desk.look(books)
        return before, await shop.ask(desk, reply="r2")

    before, after = asyncio.run(foreseen())
    assert names(shop, before) == ["first", "second"]
    assert names(shop, after) == ["second", "first"]
    assert [one.terms.click_rate for one in after] == pytest.approx([2 / 101, 1 / 101])
    assert after[0].terms.ecpm == pytest.approx(0.5 * 2 / 101 * 1000)
    assert after[0].terms.price == 250_001


def test_a_calibration_is_read_followed_and_never_replaced_by_a_bad_one(model: ServingModel, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    shop = Shop(model, [ad("one")], replace_settings(calibration=file))
    flat = '{{"method": "isotonic", "of": "rate", "knots": [0], "rates": [{}]}}'

    async def rates() -> list[float]:
        desk = await shop.desk(in_memory())
        with pytest.raises(StoreUnavailable):  # there is none yet: without it, money would be bid on a guess
            await shop.ask(desk)
        found = []
        for content in (flat.format(0.25), "no calibration", flat.format(0.125)):
            file.write_text(content)
            await desk.look(in_memory())
            found.append((await shop.ask(desk))[0].terms.click_rate)
        return found

    assert asyncio.run(rates()) == [0.25, 0.25, 0.125]


def test_a_calibrated_score_of_the_model_ranks_ads_for_the_person(model: ServingModel, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text('{"method": "platt", "of": "model", "slope": 4, "intercept": -3}')
    shop = Shop(model, [ad(f"item-{row}") for row in range(60)] + [ad("new")], replace_settings(calibration=file))
    shop.shown = Assortment(model.everything, [f"item-{row}" for row in range(60)], has_catalogue=True)
    shop.shown.put(shop.ads)

    async def placed(**request: Any) -> dict[str, float]:
        found = await of_new_desk(shop, k=61, **request)
        return {shop.shown.item_id(one.place): one.terms.click_rate for one in found}

    of_evens = asyncio.run(placed(session_item_ids=("item-2", "item-4", "item-6")))
    assert len(of_evens) == 61
    seen = ["item-2", "item-4", "item-6"]
    scores = dict(blended(draft(1), seen, 57))
    for name in set(of_evens) - {*seen, "new"}:
        assert of_evens[name] == pytest.approx(1 / (1 + np.exp(3 - 4 * scores[name])), rel=1e-3)
    assert of_evens["new"] == pytest.approx(0.01)  # the model does not know it
    assert set(asyncio.run(placed()).values()) == {0.01}  # nothing is known of who asks


def test_a_campaign_ahead_of_its_day_is_throttled_as_a_whole_and_by_the_seed(model: ServingModel) -> None:
    campaign = {"campaign": "spring", "daily_budget": "100"}
    shop = Shop(model, [ad("a", **campaign), ad("b", **campaign), ad("free", "0.1")])

    async def lists() -> list[list[str]]:
        books = in_memory()
        await books.counters.try_spend("ads/EUR/spring", "earlier", 51_000_000, Budget())  # half of pace x budget ahead
        desk = await shop.desk(books)
        return [names(shop, await shop.ask(desk, seed=seed)) for seed in range(200)]

    found = asyncio.run(lists())
    assert {tuple(one) for one in found} == {("a", "b", "free"), ("free",)}
    assert sum(len(one) == 3 for one in found) == pytest.approx(100, abs=30)
    assert asyncio.run(lists()) == found


def test_a_reply_among_items_asks_for_no_more_ads_than_have_room(model: ServingModel) -> None:
    shop = Shop(model, [ad(f"ad-{n}", frequency_cap=1) for n in range(5)])
    sponsored = {"placement": "ads", "first": 2, "gap": 2, "most": 9}
    films = Assortment(model.everything, [f"item-{row}" for row in range(60)], has_catalogue=True)
    films.put([PlainItem(item_id=f"item-{row}", vertical="films", categories=("drama",)) for row in range(60)])
    home = View(Placement.model_validate({"sponsored": sponsored}), model, films, NOON, 1)

    async def listed() -> tuple[list[str], int]:
        books = in_memory()
        desk = await shop.desk(books)
        asked = RecommendationRequest(6, user_id="anna", filters={"categories": ("drama",)}, diversity=0.5)
        ranked = await with_ads(recommend(asked, None, home), asked, None, home, shop.view(), desk, "r1")
        shown = await books.counters.shown("anna", [Cap(f"ad-{n}", 1) for n in range(5)])
        one = replace(asked, k=1)
        alone = await with_ads(recommend(one, None, home), one, None, home, shop.view(), desk, "r2")
        assert alone.items[0].source != "ad"
        return ["ad" if item.source == "ad" else "item" for item in ranked.items], sum(shown)

    assert asyncio.run(listed()) == (["item", "ad", "item", "item", "ad", "item"], 2)
