"""A desk whose books or catalogue are away: it shows nothing, keeps nobody waiting, and goes on when they are back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from feature_store.ad_counters import OneShow
from feature_store.ad_counters_memory import InMemoryAdCounters
from feature_store.errors import StoreUnavailable
from feature_store.item_store_memory import InMemoryItemStore
from serving.ads.books import Books
from serving.ads.desk import AdDesk
from serving.ads.holds import impression_id
from serving.ads.ledger import Seen
from serving.ads.ledger_memory import InMemoryLedger
from serving.ads.replying import ads_alone
from serving.breaker import FAILURES, PAUSE_SECONDS
from serving.model import ServingModel
from serving.request import RecommendationRequest
from tests.serving.ad_shop import Shop, ad, in_memory, model, names, replace_settings

__all__ = ["model"]  # the fixture


class HangingLedger(InMemoryLedger):
    """One that says nothing of what was seen as long as `hangs`, and knows how often it was asked."""

    hangs, asked = True, 0

    async def see(self, recommendation_id: str, ad: str) -> Seen:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        return await super().see(recommendation_id, ad)


def test_books_that_hang_are_left_alone_after_some_events_and_asked_again_later(model: ServingModel) -> None:
    shop = Shop(model, [ad("one")])

    async def asked() -> list[int]:
        books = Books(InMemoryAdCounters(), ledger := HangingLedger())
        desk = AdDesk(shop, InMemoryItemStore(), 0.05)
        await desk.look(books)
        found = []
        for _ in range(FAILURES + 10):
            with pytest.raises(StoreUnavailable):
                await desk.saw("anna", "one", "r1")
        found.append(ledger.asked)
        assert desk.is_paused
        assert not await desk.answers()
        ledger.hangs = False
        await asyncio.sleep(PAUSE_SECONDS)
        for _ in range(2):
            assert await desk.saw("anna", "one", "r1") == "unknown"
        assert not desk.is_paused
        return [*found, ledger.asked]

    assert asyncio.run(asked()) == [FAILURES, FAILURES + 2]


class FailingCatalogue(InMemoryItemStore):
    """One that can be read as long as `is_there`."""

    is_there = True

    async def version(self, vertical: str) -> int:
        if not self.is_there:
            raise StoreUnavailable("away")
        return await super().version(vertical)


def test_a_catalogue_that_cannot_be_read_and_what_was_read_too_long_ago_show_nothing(model: ServingModel) -> None:
    shop, catalogue = Shop(model, [ad("one")]), FailingCatalogue()

    async def shown() -> list[list[str]]:
        books = in_memory()
        desk, forgetful = AdDesk(shop, catalogue, 5.0), AdDesk(shop, catalogue, 5.0, stale_seconds=0.05)
        found = []
        for step in ("there", "away", "back"):
            catalogue.is_there = step != "away"
            await desk.look(books)
            if step == "away":
                with pytest.raises(StoreUnavailable):
                    await shop.ask(desk)
            else:
                found.append(names(shop, await shop.ask(desk)))
        await forgetful.look(books)
        await asyncio.sleep(0.06)
        with pytest.raises(StoreUnavailable):
            await shop.ask(forgetful)
        return found

    assert asyncio.run(shown()) == [["one"], ["one"]]


def test_before_the_books_are_open_there_are_no_ads_and_events_are_sent_again(model: ServingModel) -> None:
    shop = Shop(model, [ad("one")])
    desk = AdDesk(shop, InMemoryItemStore(), 1.0)

    async def refused() -> None:
        for step in (shop.ask(desk), desk.saw("anna", "one", "r1"), desk.clicked("anna", "one", "r1")):
            with pytest.raises(StoreUnavailable):
                await step
        ranked = await ads_alone(RecommendationRequest(3), None, shop.view(), desk, "r1")
        assert (ranked.items, ranked.degraded) == ((), ("ads-unavailable",))

    asyncio.run(refused())
    assert impression_id("r1", "one") != impression_id("r1 one", "")


class Unforeseen(InMemoryAdCounters):
    """Counters with a fault that is none of a store's."""

    async def take_back_shows(self, shows: Sequence[OneShow]) -> list[bool]:
        raise ZeroDivisionError(f"nobody foresaw this of {len(shows)} shows")


def test_books_that_were_closed_by_an_error_nobody_foresaw_are_not_used_until_they_are_open_again(
    model: ServingModel,
) -> None:
    shop = Shop(model, [ad("one", frequency_cap=5)], replace_settings(hold_seconds=1e-6))
    desk = AdDesk(shop, InMemoryItemStore(), 0.1, 0.001, is_kept=True)
    books = [Books(Unforeseen(), InMemoryLedger()), in_memory()]
    closed: list[Books] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[Books]:
        one = books[len(closed)]
        try:
            yield one
        finally:
            assert await asyncio.create_task(gone())  # in one that is cancelled, timeouts of Python 3.11.2 go wrong
            closed.append(one)

    async def gone() -> bool:
        with pytest.raises(StoreUnavailable):
            await desk.counters()
        with pytest.raises(StoreUnavailable):
            await desk.saw("anna", "one", "r1")
        return not await desk.answers()

    async def run() -> None:
        running = asyncio.create_task(desk.run(opened))
        async with asyncio.timeout(10.0):
            assert await desk.counters() is books[0].counters
            await desk.look(books[0])
            await shop.ask(desk, reply="r1", user_id="anna")
            with pytest.raises(ZeroDivisionError):
                await running
            again = asyncio.create_task(desk.run(opened))
            assert await desk.counters() is books[1].counters
            again.cancel()
            with pytest.raises(asyncio.CancelledError):
                await again
        assert closed == books

    asyncio.run(run())
