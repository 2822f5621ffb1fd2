"""The stores in a real Redis keep the contract; their writes are exact when replies are lost and others write too."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore, StoreError, StoreUnavailable, UnknownKey
from feature_store.events import Event, History
from feature_store.met import MetItems
from feature_store.redis_events import RedisEventStore
from feature_store.redis_store import open_redis
from feature_store.stores import LocalStores
from tests.feature_store.embedding_store_contract import UserEmbeddingStoreContract, an_embedding
from tests.feature_store.event_store_contract import EventStoreContract, an_event
from tests.feature_store.redis_world import NEW, OLD, RING, everything_in, people_in, settings_for, until
from tests.redis_proxy import running_proxy
from tests.redis_server import RedisServer, running_redis

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    with shared.client() as client:
        client.flushall()
    return shared


@pytest.fixture
async def stores(server: RedisServer) -> AsyncIterator[LocalStores]:
    async with open_redis(settings_for(server.url), RING) as opened:
        yield opened


class TestRedisStores(EventStoreContract, UserEmbeddingStoreContract):
    """The fixture `stores` is the module's."""


@pytest.mark.parametrize("fate", ["lose request", "lose reply", "late request"])
async def test_flags_are_exact_and_nothing_is_twice_where_a_connection_is_cut_in_a_write(
    server: RedisServer, fate: str
) -> None:
    async with (
        running_proxy(server.port) as proxy,
        open_redis(settings_for(f"redis://127.0.0.1:{proxy.port}"), RING) as stores,
    ):
        await stores.events.put([an_event("known")])
        proxy.fates += [fate, fate]
        batch = [an_event("known"), an_event("e1"), an_event("e1"), an_event("e2", user_id="bob")]
        assert await stores.events.put(batch) == [False, True, False, True]
        await until(lambda: proxy.lost == 2)
        assert [event.event_id for event in (await stores.events.get("ada")).events] == ["known", "e1"]
        assert (await stores.events.met("ada")).watermark == (await stores.events.get("ada")).watermark
        proxy.fates += [fate]
        await stores.embeddings.put("ada", an_embedding(1.0))
        proxy.fates += [fate]
        assert await stores.embeddings.delete("ada") == 1
        proxy.fates += [fate]
        assert await stores.events.delete("ada") == 2
        await until(lambda: proxy.lost == 5)
        assert await stores.events.get("ada") == History()


async def test_a_reply_lost_while_others_write_for_the_same_person_still_gets_exact_flags(server: RedisServer) -> None:
    """Their writes change the version that ours was made from, and the last token is theirs."""
    async with (
        running_proxy(server.port) as proxy,
        open_redis(settings_for(f"redis://127.0.0.1:{proxy.port}", backoff_seconds=0.5), RING) as ours,
        open_redis(settings_for(server.url), RING) as theirs,
    ):
        await ours.events.put([an_event("known")])
        proxy.fates += ["lose reply"]
        put = asyncio.create_task(ours.events.put([an_event("mine"), an_event("known")]))
        await until(lambda: proxy.lost)
        assert len((await theirs.events.get("ada")).events) == 2  # the server has done it; only the reply is lost
        for number in range(7):
            assert await theirs.events.put([an_event("mine"), an_event(f"t{number}")]) == [False, True]
        assert await put == [True, False]
        assert len((await theirs.events.get("ada")).events) == 9


async def test_writers_at_once_on_one_person_lose_nothing(server: RedisServer) -> None:
    """Several clients, each with connections of its own: as several servers of a cell."""
    async with (
        open_redis(settings_for(server.url), RING) as first,
        open_redis(settings_for(server.url), RING) as second,
    ):
        calls = [
            store.events.put([an_event(f"e{n}"), an_event(f"e{n + 1}"), an_event(f"b{n}", user_id="bob")])
            for n in range(12)
            for store in (first, second)
        ]
        flags = await asyncio.gather(*calls)
        assert sum(map(sum, flags)) == 13 + 12
        assert {event.event_id for event in (await first.events.get("ada")).events} == {f"e{n}" for n in range(13)}


async def test_many_embeddings_are_one_round_trip(server: RedisServer) -> None:
    async with (
        running_proxy(server.port) as proxy,
        open_redis(settings_for(f"redis://127.0.0.1:{proxy.port}"), RING) as stores,
    ):
        for n in range(0, 100, 2):
            await stores.embeddings.put(f"user {n}", an_embedding(float(n), 1.0))
        before = proxy.trips
        found = await stores.embeddings.get_many([f"user {n}" for n in range(100)], "r0001-aa")
        assert proxy.trips == before + 1
        assert found == [None if n % 2 else an_embedding(float(n), 1.0) for n in range(100)]
        await stores.embeddings.get("user 2", "r0001-aa")
        assert proxy.trips == before + 2


async def test_only_pseudonyms_and_sealed_values_are_in_the_server(server: RedisServer, stores: LocalStores) -> None:
    secrets = ["ada-lovelace", "rear-window", "event-of-ada", "a-kind-of-hers"]
    await stores.events.put([Event(secrets[2], secrets[0], secrets[1], secrets[3], 1234.5)])
    vector = an_embedding(*range(16))
    await stores.embeddings.put(secrets[0], vector)
    with server.client() as client:
        raw = everything_in(client)
        assert people_in(client) == [f"hearth:{{{stores.events.pseudonym(secrets[0])}}}".encode()]
    assert not [secret for secret in secrets if secret.encode() in raw]
    assert vector.vector.tobytes()[4:16] not in raw
    assert OLD not in raw


async def test_a_person_of_whom_nothing_is_written_is_gone_in_time(server: RedisServer) -> None:
    async with open_redis(settings_for(server.url, expires_after=0.4), RING) as stores:
        await stores.events.put([an_event(), an_event(user_id="bob")])
        await asyncio.sleep(0.25)
        await stores.embeddings.put("ada", an_embedding(1.0))
        await asyncio.sleep(0.25)
        assert await stores.events.get("bob") == History()
        assert len((await stores.events.get("ada")).events) == 1
        await asyncio.sleep(0.4)
        assert await stores.events.met("ada") == MetItems()
        assert [user_id async for user_id in stores.events.user_ids()] == []
        await stores.events.put([an_event()])
    async with open_redis(settings_for(server.url), RING) as stores:
        await stores.events.put([an_event("e2")])
        with server.client() as client:
            assert [client.pttl(key) for key in people_in(client)] == [-1]


async def test_sealing_anew_keeps_when_somebody_expires(server: RedisServer) -> None:
    async with open_redis(settings_for(server.url, expires_after=60.0), RING) as stores:
        await stores.events.put([an_event()])
    async with open_redis(settings_for(server.url), KeyRing([NEW, OLD])) as stores:
        assert await stores.events.rotate() == 4
    with server.client() as client:
        assert 0 < client.pttl(people_in(client)[0]) <= 60_000


async def test_keys_change_while_people_write(server: RedisServer) -> None:
    """Afterwards the old key opens nothing and nothing needs it."""
    async with open_redis(settings_for(server.url), RING) as stores:
        await stores.events.put([an_event(user_id=f"user {n}") for n in range(300)])
        for n in range(50):
            await stores.embeddings.put(f"user {n}", an_embedding(float(n)))
    async with open_redis(settings_for(server.url), KeyRing([NEW, OLD])) as both:
        writing = asyncio.gather(
            *(both.events.put([an_event("e2", user_id=f"user {n}", item_id="new")]) for n in range(0, 300, 3))
        )
        sealed_anew = await both.events.rotate() + await both.embeddings.rotate()
        await writing
        assert 1 + 2 * 300 + 50 <= sealed_anew <= 1 + 3 * 300 + 50
        assert await both.events.rotate() == await both.embeddings.rotate() == 0
    async with open_redis(settings_for(server.url), KeyRing([NEW])) as after:
        for n in range(300):
            assert len((await after.events.get(f"user {n}")).events) == 1 + (n % 3 == 0)
        assert await after.embeddings.get("user 7", "r0001-aa") == an_embedding(7.0)
        assert len([user_id async for user_id in after.events.user_ids()]) == 300
    with pytest.raises(UnknownKey, match="keys at hand"):
        async with open_redis(settings_for(server.url), RING):
            pass


async def test_a_store_of_another_key_is_not_opened(server: RedisServer) -> None:
    async with open_redis(settings_for(server.url), RING):
        pass
    with pytest.raises(UnknownKey):
        async with open_redis(settings_for(server.url), KeyRing([NEW])):
            pass


async def test_a_store_of_a_later_hearth_is_not_opened(server: RedisServer) -> None:
    with server.client() as client:
        client.hset("hearth:header", mapping={"format": "2", "index": "?"})
    with pytest.raises(StoreError, match=r"has format '2'; this Hearth knows 1"):
        async with open_redis(settings_for(server.url), RING):
            pass


async def test_people_without_a_header_are_not_taken_for_a_new_store(server: RedisServer) -> None:
    """A new secret would hide all of them, for good."""
    async with open_redis(settings_for(server.url), RING) as stores:
        await stores.events.put([an_event()])
    with server.client() as client:
        client.delete("hearth:header")
        with pytest.raises(CorruptStore, match=r"no header hearth:header.*noeviction"):
            async with open_redis(settings_for(server.url), RING):
                pass
        assert not client.exists("hearth:header")


async def test_a_server_that_lost_its_memory_is_noticed(server: RedisServer, stores: LocalStores) -> None:
    """What is empty gets its header back, so that those who go on know people by the same names."""
    await stores.events.put([an_event()])
    secret = stores.events._people._secret  # type: ignore[attr-defined] # of RedisEventStore
    with server.client() as client:
        header = client.hgetall("hearth:header")
        client.flushall()
        secret._looked = time.monotonic() - 60
        assert await stores.events.get("ada") == History()
        assert client.hgetall("hearth:header") == header
        client.flushall()
    async with open_redis(settings_for(server.url), RING) as others:
        await others.events.put([an_event()])
        secret._looked = time.monotonic() - 60
        with pytest.raises(StoreUnavailable, match="emptied and holds another store now; open it anew"):
            await stores.events.put([an_event()])


async def test_what_is_damaged_in_the_server_is_said_to_be(server: RedisServer, stores: LocalStores) -> None:
    await stores.events.put([an_event()])
    await stores.embeddings.put("ada", an_embedding(1.0))
    with server.client() as client:
        (key,) = people_in(client)
        log, met = client.hmget(key, "log", "met")
        client.hset(key, mapping={"log": met, "e:r0001-aa": log[:30], "met": log[:-1]})
        for broken in (
            stores.events.get("ada"),
            stores.events.met("ada"),
            stores.events.put([an_event("e2")]),
            stores.embeddings.get("ada", "r0001-aa"),
            stores.embeddings.get_many(["ada"], "r0001-aa"),
        ):
            with pytest.raises(CorruptStore):
                await broken
        client.delete(key)
        client.set(key, "a string")
        with pytest.raises(CorruptStore, match="holds another kind of value where a person should be"):
            await stores.events.put([an_event("e2")])
        with pytest.raises(CorruptStore):
            await stores.embeddings.put("ada", an_embedding(1.0))


async def test_scripts_are_sent_again_to_a_server_that_forgot_them(server: RedisServer, stores: LocalStores) -> None:
    await stores.events.put([an_event()])
    with server.client() as client:
        client.script_flush()
    assert await stores.events.put([an_event("e2"), an_event(user_id="bob")]) == [True, True]


async def test_a_history_of_many_events_and_items_stays_bounded(server: RedisServer, stores: LocalStores) -> None:
    events = [an_event(f"e{n}", item_id=f"item {n}", timestamp=float(n)) for n in range(3000)]
    await stores.events.put(events)
    with server.client() as client:
        size = client.memory_usage(people_in(client)[0], samples=0)
    await stores.events.put([an_event(f"f{n}", item_id=f"stuff {n}", timestamp=5000.0 + n) for n in range(3000)])
    with server.client() as client:
        assert client.memory_usage(people_in(client)[0], samples=0) < 1.1 * size
    assert isinstance(stores.events, RedisEventStore)
    assert len((await stores.events.get("ada")).events) == 500
    assert len((await stores.events.met("ada")).item_ids) == 2500
