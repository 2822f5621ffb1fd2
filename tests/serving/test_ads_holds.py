"""Holds: none is lost when a look is broken off, confirmed ones are gone, and many are taken back in few steps."""

import asyncio
from collections.abc import Sequence

import pytest

from feature_store.ad_counters import Cap, OneShow
from feature_store.ad_counters_memory import InMemoryAdCounters
from serving.ads.books import Books
from serving.ads.holds import Hold, Holds, impression_id
from serving.ads.ledger import Offer
from serving.ads.ledger_memory import InMemoryLedger

CAP = Cap("tea", 1000)


class SlowLedger(InMemoryLedger):
    """A ledger that counts its steps, and takes long over them while `seconds` says so."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self.steps = 0.0, 0

    async def withdraw(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        self.steps += 1
        await asyncio.sleep(self.seconds)
        return await super().withdraw(shows)


class SlowCounters(InMemoryAdCounters):
    """Counters that take as long."""

    seconds = 0.0

    async def take_back_shows(self, shows: Sequence[OneShow]) -> list[bool]:
        await asyncio.sleep(self.seconds)
        return await super().take_back_shows(shows)


async def held(books: Books, count: int) -> Holds:
    """So many shows to Anna, each in a reply of its own."""
    holds = Holds()
    for n in range(count):
        await books.ledger.offer(f"r{n}", [Offer(ad="tea", campaign="tea", price=1)])
        await books.counters.try_show("anna", CAP, impression_id(f"r{n}", "tea"))
        holds.add(Hold("anna", CAP, f"r{n}"), 0.0)
    return holds


@pytest.mark.parametrize("slow", ["ledger", "counters"])
def test_shows_of_a_look_that_ran_out_of_time_are_taken_back_by_a_later_one(slow: str) -> None:
    async def run() -> None:
        books = Books(SlowCounters(), SlowLedger())
        holds = await held(books, 5)
        of_slow = books.ledger if slow == "ledger" else books.counters
        of_slow.seconds = 60.0  # type: ignore[attr-defined] - both of ours have it
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await holds.take_back(books, 1.0)
            assert len(holds) == 5
        of_slow.seconds = 0.0  # type: ignore[attr-defined] - both of ours have it
        assert await holds.take_back(books, 1.0) == 5
        assert len(holds) == 0
        assert await books.counters.shown("anna", [CAP]) == [0]

    asyncio.run(run())


def test_many_shows_are_taken_back_in_few_steps() -> None:
    async def run() -> None:
        books = Books(InMemoryAdCounters(), ledger := SlowLedger())
        holds = await held(books, 900)
        assert await holds.take_back(books, 1.0) == 900
        assert ledger.steps == 4

    asyncio.run(run())


def test_a_show_that_was_confirmed_is_asked_about_no_more_and_stays() -> None:
    async def run() -> None:
        books = Books(InMemoryAdCounters(), ledger := SlowLedger())
        holds = await held(books, 2)
        for n in range(2):
            await ledger.see(f"r{n}", "tea")
            holds.confirm(f"r{n}", "tea")
        assert len(holds) == 0
        assert await holds.take_back(books, 1.0) == ledger.steps == 0
        assert await books.counters.shown("anna", [CAP]) == [2]

    asyncio.run(run())
