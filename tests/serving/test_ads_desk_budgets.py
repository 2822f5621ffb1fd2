"""How the desk keeps to budgets and caps: those of each account, however late the click, whoever shares the books."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from feature_store.ad_counters import Spent
from feature_store.ad_counters_memory import InMemoryAdCounters
from feature_store.encryption import KeyRing
from feature_store.redis_settings import RedisSettings
from serving.ads.books import Books, open_books
from serving.ads.known import Vertical
from serving.ads.ledger import Offer
from serving.ads.ledger_memory import InMemoryLedger
from serving.assortment.assortment import Assortment
from serving.model import ServingModel
from tests.redis_server import running_redis
from tests.serving.ad_shop import NOON, Shop, ad, in_memory, model, names, replace_settings

__all__ = ["model"]  # the fixture


class TwoShops(Shop):
    """Two verticals, of ads whose campaigns have one name."""

    def verticals(self) -> list[Vertical]:
        return [Vertical(name, (self.settings,)) for name in ("ads", "others")]

    def assortment(self, vertical: str) -> Assortment | None:
        theirs = Assortment(None, (), has_catalogue=True)
        theirs.put([ad("theirs", campaign="summer", budget=Decimal(1), vertical="others")])
        return self.shown if vertical == "ads" else theirs


def test_campaigns_of_one_name_in_two_verticals_or_currencies_have_budgets_of_their_own(model: ServingModel) -> None:
    summer: dict[str, Any] = {"campaign": "summer", "budget": Decimal(1)}
    shop = TwoShops(model, [ad("euros", **summer), ad("dollars", currency="USD", **summer)])

    async def clicked() -> list[str]:
        books = in_memory()
        desk = await shop.desk(books)
        for reply in ("r1", "r2"):
            accounts = {"euros": "ads/EUR/summer", "dollars": "ads/USD/summer", "theirs": "others/EUR/summer"}
            offers = [Offer(ad=name, campaign=account, price=900_000) for name, account in accounts.items()]
            await books.ledger.offer(reply, offers)
        outcomes = [await desk.clicked("anna", name, reply) for reply in ("r1", "r2") for name in accounts]
        await desk.look(books)
        assert await shop.ask(desk) == []  # in euros all but 0.10 is spent
        return outcomes

    async def offered() -> tuple[str, str]:
        books = in_memory()
        [placed] = await shop.ask(await shop.desk(books), user_id="anna")
        offer = await books.ledger.click("r1", "euros")
        assert offer is not None
        return placed.terms.campaign, offer.campaign

    assert asyncio.run(clicked()) == ["paid"] * 3 + ["over-budget"] * 3
    assert asyncio.run(offered()) == ("summer", "ads/EUR/summer")


def test_a_click_on_an_ad_that_has_moved_to_another_campaign_is_paid_from_the_one_that_offered_it(
    model: ServingModel,
) -> None:
    shop = Shop(model, [ad("one", campaign="autumn")])

    async def outcome() -> tuple[str, int]:
        books = in_memory()
        desk = await shop.desk(books)
        await books.ledger.offer("r1", [Offer(ad="one", campaign="ads/EUR/spring", price=2, total=1)])
        return await desk.clicked("anna", "one", "r1"), (await books.counters.spent("ads/EUR/autumn")).total

    assert asyncio.run(outcome()) == ("over-budget", 0)


def test_a_click_that_met_a_spent_budget_is_free_though_it_is_sent_again_when_there_is_room(
    model: ServingModel,
) -> None:
    shop = Shop(model, [ad("one", daily_budget=Decimal(1))])

    async def outcomes() -> tuple[list[str], Spent]:
        clock = [NOON]
        books = Books(InMemoryAdCounters(lambda: clock[0]), InMemoryLedger())
        desk = await shop.desk(books)
        offer = Offer(ad="one", campaign="ads/EUR/one", price=600_000)
        for reply in ("r1", "r2", "r3"):
            await books.ledger.offer(reply, [offer])
        found = [await desk.clicked("anna", "one", reply) for reply in ("r1", "r2")]
        clock[0] += 86_400
        found += [await desk.clicked("anna", "one", reply) for reply in ("r1", "r2", "r3")]
        return found, await books.counters.spent("ads/EUR/one")

    assert asyncio.run(outcomes()) == (
        ["paid", "over-budget", "paid", "over-budget", "paid"],
        Spent(1_200_000, 600_000),
    )


@asynccontextmanager
async def books_of(kind: str, folder: Path, url: str) -> AsyncIterator[list[Books]]:
    """Those of two servers at one place."""
    keys = KeyRing([bytes(range(32))])
    async with AsyncExitStack() as opened:
        if kind == "memory":
            yield [in_memory()] * 2
        elif kind == "sqlite":
            file = folder / "ads.sqlite"
            yield [await opened.enter_async_context(open_books(keys, file, None, 5.0)) for _ in range(2)]
        else:
            redis = RedisSettings(url=url)
            yield [await opened.enter_async_context(open_books(keys, None, redis, 5.0)) for _ in range(2)]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
def test_caps_and_budgets_hold_to_the_last_one_whoever_asks_at_once(
    model: ServingModel, tmp_path: Path, redis_url: str, kind: str
) -> None:
    ads = [
        ad("capped", "0.50", frequency_cap=5, budget="1.20"),
        ad("other", "0.30", frequency_cap=4),
        ad("free", "0.1"),
    ]
    shop = Shop(model, ads, replace_settings(pace="off"))

    async def race() -> tuple[list[str], list[str], int]:
        async with books_of(kind, tmp_path, redis_url) as places:
            desks = [await shop.desk(books) for books in places]
            replies = [f"{kind}-{n}" for n in range(24)]
            asked = [shop.ask(desk, 1, reply, user_id="anna") for desk, reply in zip(desks * 12, replies, strict=True)]
            shown = [name for placed in await asyncio.gather(*asked) for name in names(shop, placed)]
            clicked = [
                desk.clicked("anna", name, reply)
                for name, reply in zip(shown, replies, strict=True)
                for desk in desks  # each click is sent to both
                if name == "capped"
            ]
            outcomes = await asyncio.gather(*clicked)
            return shown, outcomes, (await places[0].counters.spent("ads/EUR/capped")).total

    shown, outcomes, spent = asyncio.run(race())
    assert sorted(shown) == ["capped"] * 5 + ["free"] * 15 + ["other"] * 4
    paid = spent / 300_001
    # Some were priced by "other" and some, when that was capped, by "free": 5 clicks of 0.30 would exceed 1.20.
    assert spent <= 1_200_000
    assert paid == int(paid) == 3
    assert sorted(outcomes) == ["over-budget"] * 4 + ["paid"] * 6
