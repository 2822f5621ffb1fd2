"""All counters of ads keep one contract; among processes that race, money adds up to the micro and caps hold."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.ad_counters import AdCounters, Budget, Cap, OneShow, day_of, days_known
from feature_store.ad_counters_memory import InMemoryAdCounters
from feature_store.ad_counters_redis import open_redis_counters
from feature_store.ad_counters_sqlite import open_sqlite_counters
from feature_store.encryption import KeyRing, new_key
from feature_store.errors import BadInput, CorruptStore, UnknownKey
from feature_store.redis_rewriting import NOTE
from feature_store.redis_settings import RedisSettings
from tests.feature_store.ad_counters_contract import DAY, NOON, AdCountersContract, SetClock
from tests.feature_store.ad_spender import BUDGET, CAP, PEOPLE
from tests.redis_server import RedisServer, running_redis

ROOT = Path(__file__).parents[2]
KEY = new_key()
KEYS = KeyRing([KEY])
BERLIN = ZoneInfo("Europe/Berlin")

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_settings(server: RedisServer) -> RedisSettings:
    with server.client() as client:
        client.flushall()
    return RedisSettings(url=server.url)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


class TestInMemoryCounters(AdCountersContract):
    @pytest.fixture
    def counters(self, clock: SetClock) -> AdCounters:
        return InMemoryAdCounters(clock)


class TestSQLiteCounters(AdCountersContract):
    @pytest.fixture
    async def counters(self, clock: SetClock, tmp_path: Path) -> AsyncIterator[AdCounters]:
        async with open_sqlite_counters(tmp_path / "counters.sqlite", KEYS, clock=clock) as counters:
            yield counters


class TestRedisCounters(AdCountersContract):
    @pytest.fixture
    async def counters(self, clock: SetClock, redis_settings: RedisSettings) -> AsyncIterator[AdCounters]:
        async with open_redis_counters(redis_settings, KEYS, clock=clock) as counters:
            yield counters


IMPRESSIONS = st.sampled_from(["i1", "i2", "i3"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("spend"), IMPRESSIONS, st.integers(1, 30)),
        st.tuples(st.just("refund"), IMPRESSIONS, st.just(0)),
        st.tuples(st.just("show"), IMPRESSIONS, st.integers(1, 3)),
        st.tuples(st.just("take back"), IMPRESSIONS, st.just(0)),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([0.25, 0.5, 1.0, 1.5])),
    ),
    max_size=25,
)


async def replayed(counters: AdCounters, clock: SetClock, steps: list[tuple[str, str, float]]) -> list[object]:
    said: list[object] = []
    for step, impression, number in steps:
        match step:
            case "spend":
                said.append(await counters.try_spend("c", impression, int(number), Budget(100, 40)))
            case "refund":
                said.append(await counters.refund("c", impression))
            case "show":
                said.append(await counters.try_show("ada", Cap("a", int(number)), impression))
            case "take back":
                said.append(await counters.take_back_shows([OneShow("ada", "a", impression)]))
            case _:
                clock.now += number * DAY
        said += [await counters.spent("c"), await counters.shown("ada", [Cap("a", 1)])]
    return said


@settings(max_examples=25)
@given(steps=STEPS)
def test_all_counters_say_the_same(server: RedisServer, steps: list[tuple[str, str, float]]) -> None:
    async def on_sqlite() -> list[object]:
        with tempfile.TemporaryDirectory() as folder:
            clock = SetClock()
            async with open_sqlite_counters(Path(folder, "counters.sqlite"), KEYS, clock=clock) as counters:
                return await replayed(counters, clock, steps)

    async def on_redis() -> list[object]:
        with server.client() as client:
            client.flushall()
        clock = SetClock()
        async with open_redis_counters(RedisSettings(url=server.url), KEYS, clock=clock) as counters:
            return await replayed(counters, clock, steps)

    clock = SetClock()
    in_memory = asyncio.run(replayed(InMemoryAdCounters(clock), clock, steps))
    assert asyncio.run(on_sqlite()) == in_memory
    assert asyncio.run(on_redis()) == in_memory


@given(spends=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 20), st.booleans()), max_size=30))
def test_what_is_spent_is_the_sum_of_what_counts(spends: list[tuple[int, int, bool]]) -> None:
    """An oracle that knows only impressions: each costs once, unless that passes a bound; refunded, nothing."""

    async def spent() -> tuple[int, int]:
        counters, costs, back = InMemoryAdCounters(SetClock()), dict[int, int](), set[int]()
        for micros, impression, refunded in spends:
            if impression not in costs and sum(costs.values()) - sum(costs[i] for i in back) + micros <= 200:
                costs[impression] = micros
            await counters.try_spend("c", str(impression), micros, Budget(total=200))
            if refunded and impression in costs:
                back.add(impression)
                await counters.refund("c", str(impression))
        return (await counters.spent("c")).total, sum(costs.values()) - sum(costs[i] for i in back)

    counted, expected = asyncio.run(spent())
    assert counted == expected


async def test_processes_that_race_spend_to_the_micro_and_keep_every_cap(
    server: RedisServer, redis_settings: RedisSettings
) -> None:
    """Three processes with 20 tasks each; all spends are sent twice, and some are given back."""
    async with open_redis_counters(redis_settings, KEYS) as counters:
        await counters.spent("campaign")  # the store's secret is there before they begin
        command = [sys.executable, "-m", "tests.feature_store.ad_spender", server.url, KEY.hex()]
        processes = [
            await asyncio.create_subprocess_exec(*command, name, "240", cwd=ROOT, stdout=subprocess.PIPE)
            for name in ("x", "y", "z")
        ]
        told = [json.loads((await asyncio.wait_for(process.communicate(), 60))[0]) for process in processes]
        spent = await counters.spent("campaign")
        assert spent.total == sum(one["spent"] - one["refunded"] for one in told)
        assert spent.today == spent.total
        assert BUDGET.daily is not None
        assert BUDGET.daily - 2000 < spent.today <= BUDGET.daily
        assert sum(one["refunded"] for one in told) > 0
        times = [sum(one["shown"][person] for one in told) for person in range(PEOPLE)]
        assert times == [CAP.most] * PEOPLE
        assert [await counters.shown(f"person-{person}", [CAP]) for person in range(PEOPLE)] == [[CAP.most]] * PEOPLE


async def test_two_processes_share_the_counters_of_a_file(tmp_path: Path) -> None:
    async with (
        open_sqlite_counters(tmp_path / "counters.sqlite", KEYS) as one,
        open_sqlite_counters(tmp_path / "counters.sqlite", KEYS) as other,
    ):
        tries = [side.try_spend("c", f"i{n}", 7, Budget(total=100)) for n in range(20) for side in (one, other)]
        reasons = [spend.reason for spend in await asyncio.gather(*tries)]
        assert (reasons.count("new"), reasons.count("known")) == (14, 14)
        shows = [side.try_show("ada", Cap("a", 3), f"{side}{n}") for n in range(5) for side in (one, other)]
        assert sum(show.counted for show in await asyncio.gather(*shows)) == 3


def test_a_day_begins_at_midnight_of_its_zone_whatever_becomes_of_clocks() -> None:
    before = 1_774_738_799.0  # 2026-03-28T23:59:59 in Berlin, the day before clocks go forward
    assert [day_of(now, BERLIN) for now in (before, before + 1, before + 23 * 3600, before + 23 * 3600 + 1)] == [
        "2026-03-28",
        "2026-03-29",
        "2026-03-29",
        "2026-03-30",
    ]
    assert day_of(before) == "2026-03-28"
    assert days_known("2026-03-01") == ["2026-03-01", "2026-02-28", "2026-02-27"]
    with pytest.raises(BadInput, match="seconds since 1970"):
        day_of(NOON * 1000)


async def test_a_daily_budget_keeps_to_the_zone_it_is_given(clock: SetClock) -> None:
    counters = InMemoryAdCounters(clock, BERLIN)
    clock.now = NOON + DAY / 2 - 3601  # 23:59:59 in Berlin
    await counters.try_spend("c", "i1", 5, Budget())
    assert (await counters.spent("c")).today == 5
    clock.now += 1
    assert (await counters.spent("c")).today == 0


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Cap("a", 0), "a cap is 1 to 1,000 shows; got 0"),
        (lambda: Cap("a", 1, 0.5), "the window of a cap is 1 to"),
        (lambda: Cap("a", 1, float("nan")), "the window of a cap is 1 to"),
        (lambda: Cap("", 1), "ad of a cap has 1 to 256"),
        (lambda: Budget(total=-1), "total of a budget is a whole number of micros from 0"),
        (lambda: Budget(daily=1.5), "daily of a budget is a whole number of micros from 0"),
    ],
)
def test_bounds_that_are_none_are_refused(made: "type[object]", message: str) -> None:
    with pytest.raises(BadInput, match=message):
        made()


async def test_a_redis_forgets_what_no_window_and_no_day_reaches(
    server: RedisServer, redis_settings: RedisSettings
) -> None:
    async with open_redis_counters(redis_settings, KEYS) as counters:
        await counters.try_show("ada", Cap("a", 3, window=1), "i1")
        await counters.try_spend("c", "i1", 5, Budget())
        with server.client() as client:
            lives = {key: client.ttl(key) for key in client.scan_iter()}
            costs = [life for key, life in lives.items() if b":costs:" in key]
            shows = [life for key, life in lives.items() if key.startswith(b"hearth:ads:{") and b"{c." not in key]
        assert 3 * DAY < costs[0] <= 4 * DAY
        assert len(shows) == 2
        assert min(shows) in {1, 2}
        assert max(shows) <= 62


async def test_old_days_and_shows_leave_no_rows(tmp_path: Path, clock: SetClock) -> None:
    path = tmp_path / "counters.sqlite"
    async with open_sqlite_counters(path, KEYS, clock=clock) as counters:
        for day in range(10):
            clock.now = NOON + day * DAY
            await counters.try_spend("c", f"i{day}", 5, Budget())
            await counters.try_show("ada", Cap("a", 9), f"i{day}")
    with closing(sqlite3.connect(path)) as other:
        left = [("costs", day) for (day,) in other.execute("SELECT day FROM costs ORDER BY day")]
        left += [("days", day) for (day,) in other.execute("SELECT day FROM days ORDER BY day")]
        left += [("shows", "") for _ in other.execute("SELECT ad FROM shows")]
    last = ("2026-03-08", "2026-03-09", "2026-03-10")
    assert left == [*(("costs", day) for day in last), *(("days", day) for day in last), ("shows", "")]


async def test_old_days_leave_no_fields_in_redis(
    server: RedisServer, redis_settings: RedisSettings, clock: SetClock
) -> None:
    async with open_redis_counters(redis_settings, KEYS, clock=clock) as counters:
        for day in range(10):
            clock.now = NOON + day * DAY
            await counters.try_spend("c", f"i{day}", 5, Budget())
    with server.client() as client:
        assert sorted(client.hkeys("hearth:ads:{c.c}:spent")) == [b"2026-03-08", b"2026-03-09", b"2026-03-10", b"total"]


async def test_servers_go_by_the_clock_of_redis(redis_settings: RedisSettings) -> None:
    async with open_redis_counters(redis_settings, KEYS) as counters:
        before = time.time()
        await counters.try_show("ada", Cap("a", 3), "i")
        exported = await counters.export("ada")
        [show] = json.loads(json.dumps(exported))["shown_ads"]
        assert before - 0.5 <= show["timestamp"] <= time.time() + 0.5


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_after_a_rotation_the_old_key_can_go(kind: str, tmp_path: Path, redis_settings: RedisSettings) -> None:
    old, new = new_key(), new_key()

    def counters_with(*keys: bytes) -> AbstractAsyncContextManager[AdCounters]:
        if kind == "sqlite":
            return open_sqlite_counters(tmp_path / "counters.sqlite", KeyRing(keys))
        return open_redis_counters(redis_settings, KeyRing(keys))

    async with counters_with(old) as counters:
        for n in range(7):
            await counters.try_show("canary-ada", Cap(f"canary-ad-{n}", 3), "i")
        await counters.try_spend("c", "i", 5, Budget())
    async with counters_with(new, old) as counters:
        assert await counters.rotate() == 8
        assert await counters.rotate() == 0
    async with counters_with(new) as counters:
        exported = json.loads(json.dumps(await counters.export("canary-ada")))
        assert [show["ad"] for show in exported["shown_ads"]] == [f"canary-ad-{n}" for n in range(7)]
    with pytest.raises(UnknownKey):
        async with counters_with(old):
            pass


async def test_a_place_that_holds_people_and_has_lost_its_secret_is_refused(
    tmp_path: Path, server: RedisServer, redis_settings: RedisSettings
) -> None:
    path = tmp_path / "counters.sqlite"
    async with open_sqlite_counters(path, KEYS) as counters:
        await counters.try_show("ada", Cap("a", 3), "i")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM header")
    with pytest.raises(CorruptStore, match=r"counters\.sqlite: it holds people, and the secret that would find them"):
        async with open_sqlite_counters(path, KEYS):
            pass
    async with open_redis_counters(redis_settings, KEYS) as counters:
        await counters.try_show("ada", Cap("a", 3), "i")
    with server.client() as client:
        client.delete("hearth:ads:header")
        with pytest.raises(CorruptStore, match=r"no header hearth:ads:header.*noeviction"):
            async with open_redis_counters(redis_settings, KEYS):
                pass
        assert not client.exists("hearth:ads:header")


async def test_a_redis_shows_neither_who_was_shown_an_ad_nor_which(
    server: RedisServer, redis_settings: RedisSettings
) -> None:
    async with open_redis_counters(redis_settings, KEYS) as counters:
        await counters.try_show("canary-ada", Cap("canary-ad", 3), "canary-i")
        with server.client() as client:
            held = b"".join(
                key + b"".join(client.hgetall(key)) + b"".join(client.hvals(key))
                if client.type(key) == b"hash"
                else key + b"".join(client.zrange(key, 0, -1))
                for key in client.scan_iter()
            )
        assert b"hearth:ads:header" in held
        await counters.try_show("canary-bob", Cap("canary-ad", 3), "canary-i")
        with server.client() as client:
            ads = [key.partition(b"}:")[2] for key in client.scan_iter("hearth:ads:{*}:*")]
        assert len(set(ads)) == 2  # one ad, which nobody can tell from another at another person
        await counters.delete("canary-bob")
        assert b"canary" not in held
        await counters.delete("canary-ada")
        with server.client() as client:
            assert sorted(client.scan_iter()) == [b"hearth:ads:header", NOTE]
