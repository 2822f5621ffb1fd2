"""Every ledger keeps offers, believes nothing else, and counts each impression once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from feature_store.redis_connection import connected
from feature_store.redis_settings import RedisSettings
from serving.ads.ledger import KEPT_SECONDS, Counts, Ledger, Offer
from serving.ads.ledger_memory import InMemoryLedger
from serving.ads.ledger_redis import RedisLedger
from serving.ads.ledger_sqlite import open_sqlite_ledger
from tests.redis_server import RedisServer, running_redis

pytestmark = pytest.mark.anyio

TEA = Offer(ad="tea", campaign="spring", price=250_001, total=1_000_000, daily=None)
MILK = Offer(ad="milk seen:tea", campaign="milk", price=7)  # as near to another's fields as an id can be


class SetClock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


class LedgerContract:
    """`ledger` is an empty one."""

    async def test_an_offer_is_found_by_its_reply_and_ad_alone(self, ledger: Ledger) -> None:
        await ledger.offer("r1", [TEA, MILK])
        assert await ledger.click("r1", "tea") == TEA
        assert await ledger.click("r1", MILK.ad) == MILK
        assert await ledger.click("r1", "coffee") is None
        assert await ledger.click("r2", "tea") is None
        assert await ledger.see("r2", "tea") == "unknown"
        assert TEA.budget.total == 1_000_000

    async def test_asking_what_was_offered_counts_nothing(self, ledger: Ledger) -> None:
        await ledger.offer("r1", [TEA, MILK])
        await ledger.offer("r2", [MILK])
        asked = [("r1", "tea"), ("r2", "tea"), ("r2", MILK.ad), ("r3", "tea"), ("r1", "coffee")]
        assert await ledger.offered(asked) == [True, False, True, False, False]
        assert await ledger.offered([]) == []
        assert await ledger.counts(["tea", MILK.ad]) == [Counts(0, 0), Counts(0, 0)]
        assert await ledger.see("r1", "tea") == "new"

    async def test_each_impression_is_counted_once_and_a_click_is_a_show(self, ledger: Ledger) -> None:
        for reply in ("r1", "r2", "r3"):
            await ledger.offer(reply, [TEA, MILK])
        assert [await ledger.see("r1", "tea") for _ in range(3)] == ["new", "known", "known"]
        for _ in range(2):
            assert await ledger.click("r1", "tea") == TEA
            assert await ledger.click("r2", "tea") == TEA
        assert await ledger.see("r2", "tea") == "known"
        await ledger.see("r3", MILK.ad)
        assert await ledger.counts(["tea", MILK.ad, "coffee"]) == [Counts(2, 2), Counts(1, 0), Counts(0, 0)]

    async def test_what_was_seen_is_not_withdrawn_and_what_was_withdrawn_is_seen_late(self, ledger: Ledger) -> None:
        await ledger.offer("r1", [TEA, MILK])
        await ledger.see("r1", "tea")
        assert await ledger.withdraw([("r1", "tea"), ("r1", MILK.ad)]) == [False, True]
        assert await ledger.withdraw([("r1", MILK.ad)]) == [True]
        assert await ledger.withdraw([]) == []
        assert [await ledger.see("r1", MILK.ad) for _ in range(2)] == ["late", "known"]
        assert await ledger.withdraw([("never", "tea")]) == [True]  # what was never offered was never seen
        assert await ledger.see("never", "tea") == "unknown"

    async def test_what_is_refused_stays_so_and_what_was_never_offered_is_not_known_by_it(self, ledger: Ledger) -> None:
        await ledger.offer("r1", [TEA, MILK])
        await ledger.refuse("r1", TEA)
        assert [await ledger.click("r1", "tea") for _ in range(2)] == [TEA.refused()] * 2
        assert (TEA.is_refused, TEA.refused().is_refused) == (False, True)
        assert await ledger.click("r1", MILK.ad) == MILK
        await ledger.refuse("never", TEA)
        assert await ledger.click("never", "tea") is None

    async def test_many_at_once_see_it_first_once(self, ledger: Ledger) -> None:
        await ledger.offer("r1", [TEA])
        seen = await asyncio.gather(*(ledger.see("r1", "tea") for _ in range(20)))
        assert sorted(seen) == ["known"] * 19 + ["new"]
        await asyncio.gather(*(ledger.click("r1", "tea") for _ in range(20)))
        assert await ledger.counts(["tea"]) == [Counts(1, 1)]


class TestInMemoryLedger(LedgerContract):
    @pytest.fixture
    def ledger(self) -> Ledger:
        return InMemoryLedger()


class TestSQLiteLedger(LedgerContract):
    @pytest.fixture
    async def ledger(self, tmp_path: Path) -> AsyncIterator[Ledger]:
        async with open_sqlite_ledger(tmp_path / "offers.sqlite") as ledger:
            yield ledger


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


class TestRedisLedger(LedgerContract):
    @pytest.fixture
    async def ledger(self, redis_server: RedisServer) -> AsyncIterator[Ledger]:
        with redis_server.client() as client:
            client.flushall()
        async with connected(RedisSettings(url=redis_server.url)) as connection:
            yield RedisLedger(connection)


async def test_an_offer_is_kept_for_two_days(tmp_path: Path, redis_server: RedisServer) -> None:
    clock = SetClock()
    async with open_sqlite_ledger(tmp_path / "offers.sqlite", clock=clock) as in_file:
        for ledger in (InMemoryLedger(clock), in_file):
            clock.now = 1e9
            await ledger.offer("r1", [TEA])
            clock.now += KEPT_SECONDS - 1
            assert await ledger.offered([("r1", "tea")]) == [True]
            assert await ledger.see("r1", "tea") == "new"
            clock.now += 1
            assert await ledger.offered([("r1", "tea")]) == [False]
            assert await ledger.see("r1", "tea") == "unknown"
            assert await ledger.click("r1", "tea") is None
            await ledger.offer("r2", [TEA])
            clock.now += 1
            assert await ledger.see("r1", "tea") == "unknown"
            assert await ledger.counts(["tea"]) == [Counts(1, 0)]
    async with connected(RedisSettings(url=redis_server.url)) as connection:
        await RedisLedger(connection).offer("r9", [TEA])
    with redis_server.client() as client:
        assert KEPT_SECONDS - 60 < client.ttl("hearth:offers:r9") <= KEPT_SECONDS


async def test_what_was_offered_outlives_a_file_that_is_closed(tmp_path: Path) -> None:
    for step in (1, 2):
        async with open_sqlite_ledger(tmp_path / "offers.sqlite") as ledger:
            if step == 1:
                await ledger.offer("r1", [TEA])
                await ledger.see("r1", "tea")
            else:
                assert await ledger.click("r1", "tea") == TEA
                assert await ledger.counts(["tea"]) == [Counts(1, 1)]
