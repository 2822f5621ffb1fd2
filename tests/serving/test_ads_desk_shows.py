"""How the desk holds shows: what is seen counts once, in time or late, and what never was is taken back."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from feature_store.ad_counters import Cap, OneShow
from feature_store.ad_counters_memory import InMemoryAdCounters
from feature_store.errors import StoreUnavailable
from serving.ads.books import Books
from serving.ads.ledger_memory import InMemoryLedger
from serving.model import ServingModel
from tests.serving.ad_shop import Shop, ad, model, replace_settings

__all__ = ["model"]  # the fixture


def test_what_is_seen_in_time_is_counted_once_and_what_is_seen_late_once_more(model: ServingModel) -> None:
    shop = Shop(model, [ad("one", frequency_cap=5)], replace_settings(hold_seconds=0.01))

    async def times() -> list[int]:
        counters = InMemoryAdCounters()
        books = Books(counters, InMemoryLedger())
        desk = await shop.desk(books)
        found = []
        for reply, is_late in (("r1", False), ("r2", True)):
            await shop.ask(desk, reply=reply, user_id="anna")
            if is_late:
                await asyncio.sleep(0.02)
                await desk.look(books)
                found += await counters.shown("anna", [Cap("one", 5)])
            for _ in range(2):
                await desk.saw("anna", "one", reply)
            found += await counters.shown("anna", [Cap("one", 5)])
        await asyncio.sleep(0.02)
        await desk.look(books)
        return found + await counters.shown("anna", [Cap("one", 5)])

    assert asyncio.run(times()) == [1, 1, 2, 2]


class FailingCounters(InMemoryAdCounters):
    """Counters that take nothing back as long as `fails`."""

    fails = True

    async def take_back_shows(self, shows: Sequence[OneShow]) -> list[bool]:
        if self.fails:
            raise StoreUnavailable("away")
        return await super().take_back_shows(shows)


def test_a_show_that_is_seen_between_the_two_steps_of_its_taking_back_counts_once(model: ServingModel) -> None:
    shop = Shop(model, [ad("one", frequency_cap=5)], replace_settings(hold_seconds=0.01))

    async def times() -> list[int]:
        books = Books(counters := FailingCounters(), InMemoryLedger())
        desk = await shop.desk(books)
        await shop.ask(desk, reply="r1", user_id="anna")
        await asyncio.sleep(0.02)
        await desk.look(books)  # the ledger has withdrawn it, and the counters count it still
        found = await counters.shown("anna", [Cap("one", 5)])
        counters.fails = False
        for _ in range(2):
            await desk.saw("anna", "one", "r1")
            found += await counters.shown("anna", [Cap("one", 5)])
            await desk.look(books)
        return found + await counters.shown("anna", [Cap("one", 5)])

    assert asyncio.run(times()) == [1, 1, 1, 1]


class AskedLedger(InMemoryLedger):
    """One that knows which shows it was asked to withdraw."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    async def withdraw(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        self.asked += shows
        return await super().withdraw(shows)


def test_the_books_are_asked_to_take_back_what_nobody_confirmed_alone(model: ServingModel) -> None:
    shop = Shop(model, [ad("one", frequency_cap=5)], replace_settings(hold_seconds=0.01))

    async def asked() -> list[tuple[str, str]]:
        books = Books(InMemoryAdCounters(), ledger := AskedLedger())
        desk = await shop.desk(books)
        for reply in ("r1", "r2"):
            await shop.ask(desk, reply=reply, user_id="anna")
        await desk.saw("anna", "one", "r1")
        await asyncio.sleep(0.02)
        await desk.look(books)
        return ledger.asked

    assert asyncio.run(asked()) == [("r2", "one")]


class LostReply(InMemoryLedger):
    """A ledger that cannot be written to."""

    async def offer(self, recommendation_id: str, offers: Any) -> None:
        raise StoreUnavailable("full")


def test_shows_of_a_reply_that_never_went_out_are_taken_back(model: ServingModel) -> None:
    shop = Shop(model, [ad("one", frequency_cap=1), ad("two", frequency_cap=1)])

    async def times() -> tuple[list[int], list[int]]:
        counters = InMemoryAdCounters()
        books = Books(counters, LostReply())
        desk = await shop.desk(books)
        with pytest.raises(StoreUnavailable):
            await shop.ask(desk, user_id="anna")
        caps = [Cap("one", 1), Cap("two", 1)]
        held = await counters.shown("anna", caps)
        await desk.look(books)
        return held, await counters.shown("anna", caps)

    assert asyncio.run(times()) == ([1, 1], [0, 0])
