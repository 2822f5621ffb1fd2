"""The stores in a real Redis Cluster of three servers keep the contract; slots may move while people write."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from feature_store.errors import StoreUnavailable
from feature_store.redis_events import RedisEventStore
from feature_store.redis_store import open_redis
from feature_store.stores import LocalStores
from tests.feature_store.embedding_store_contract import UserEmbeddingStoreContract, an_embedding
from tests.feature_store.event_store_contract import EventStoreContract, an_event
from tests.feature_store.redis_world import PASSWORD, RING, documented_user, people_in, settings_for
from tests.redis_cluster import running_cluster
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), "--appendonly", "yes") as servers:
        yield servers


@pytest.fixture
def servers(shared: list[RedisServer]) -> list[RedisServer]:
    for server in shared:
        with server.client() as client:
            client.flushall()
    return shared


@pytest.fixture
async def stores(servers: list[RedisServer]) -> AsyncIterator[LocalStores]:
    async with open_redis(settings_for(servers[1].url, cluster=True), RING) as opened:
        yield opened


class TestRedisClusterStores(EventStoreContract, UserEmbeddingStoreContract):
    """The fixture `stores` is the module's."""


async def test_people_are_spread_over_all_servers_and_all_are_found(
    servers: list[RedisServer], stores: LocalStores
) -> None:
    await stores.events.put([an_event(user_id=f"user {n}") for n in range(300)])
    for n in range(30):
        await stores.embeddings.put(f"user {n}", an_embedding(float(n), checkpoint_id=f"r{n % 2}"))
    shares = []
    for server in servers:
        with server.client() as client:
            shares.append(len(people_in(client)))
    assert sum(shares) == 300
    assert min(shares) > 50
    assert len([user_id async for user_id in stores.events.user_ids()]) == 300
    found = await stores.embeddings.get_many([f"user {n}" for n in range(300)], "r1")
    assert [n for n, embedding in enumerate(found) if embedding] == list(range(1, 30, 2))
    assert await stores.embeddings.checkpoint_ids() == {"r0", "r1"}
    await stores.events.try_write()


async def test_erasures_are_finished_on_every_server(servers: list[RedisServer]) -> None:
    async with open_redis(settings_for(servers[0].url, cluster=True, rewrite_after=3600.0), RING) as stores:
        people = [f"user {n}" for n in range(12)]
        await stores.events.put([an_event(user_id=user_id) for user_id in people])
        for user_id in people:
            await stores.events.delete(user_id)
        assert isinstance(stores.events, RedisEventStore)
        assert await stores.events.finish_erasures()
        files = b"".join(
            file.read_bytes() for server in servers for file in server.folder.rglob("appendonly*") if file.is_file()
        )
        assert b"hearth:header" in files
        assert not [user_id for user_id in people if stores.events.pseudonym(user_id).encode() in files]


async def test_slots_that_move_while_people_write_lose_nothing(servers: list[RedisServer]) -> None:
    async with (
        open_redis(settings_for(servers[0].url, cluster=True, retries=10), RING) as ours,
        open_redis(settings_for(servers[0].url, cluster=True, retries=10), RING) as theirs,
    ):
        await theirs.events.put([an_event(user_id=f"user {n}") for n in range(40)])  # it knows where slots were
        with servers[0].client() as client:
            new_home = client.execute_command("CLUSTER", "MYID").decode()
            (key, *_) = people_in(client)
            slot = client.execute_command("CLUSTER", "KEYSLOT", key)
        with servers[1].client() as target, servers[0].client() as source:
            to, of = (c.execute_command("CLUSTER", "MYID").decode() for c in (target, source))
            assert of == new_home
            target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", of)
            source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", to)
            halfway = asyncio.gather(*(ours.events.put([an_event("e2", user_id=f"user {n}")]) for n in range(40)))
            await asyncio.sleep(0.05)
            source.execute_command("MIGRATE", "127.0.0.1", servers[1].port, "", 0, 5000, "KEYS", key)
            assert all(flags == [True] for flags in await halfway)
            for client in (target, source):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", to)
        flags = await theirs.events.put([an_event("e3", user_id=f"user {n}") for n in range(40)])
        assert flags == [True] * 40
        for n in range(40):
            assert len((await ours.events.get(f"user {n}")).events) == 3


async def test_a_cluster_that_is_not_used_as_one_is_said_to_be_one(servers: list[RedisServer]) -> None:
    with pytest.raises(StoreUnavailable, match="set cluster"):
        async with open_redis(settings_for(servers[0].url, retries=1), RING) as stores:
            await stores.events.put([an_event(user_id=f"user {n}") for n in range(10)])


async def test_writes_wait_for_replicas_of_each_server(servers: list[RedisServer]) -> None:
    with pytest.raises(StoreUnavailable, match="has reached 0 replicas in time; asked for are 1"):
        async with open_redis(
            settings_for(servers[0].url, cluster=True, wait_replicas=1, timeout_seconds=0.4), RING
        ) as stores:
            await stores.events.put([an_event()])


async def test_a_server_of_the_cluster_that_is_killed_and_comes_back_is_waited_for(servers: list[RedisServer]) -> None:
    async with open_redis(settings_for(servers[0].url, cluster=True, retries=40, backoff_seconds=0.2), RING) as stores:
        people = [f"user {n}" for n in range(30)]
        await stores.events.put([an_event(user_id=user_id) for user_id in people])
        servers[2].kill()
        put = asyncio.create_task(stores.events.put([an_event("e2", user_id=user_id) for user_id in people]))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(servers[2].start)
        assert await put == [True] * 30


async def test_an_acl_user_with_the_documented_commands_can_use_a_cluster(servers: list[RedisServer]) -> None:
    for server in servers:
        with server.client() as client:
            client.execute_command(*documented_user("In a cluster also"))
    known = {"username": "cell", "password": SecretStr(PASSWORD), "rewrite_after": 30.0}
    async with open_redis(settings_for(servers[0].url, cluster=True, **known), RING) as stores:
        await stores.events.put([an_event(user_id=f"user {n}") for n in range(20)])
        await stores.embeddings.put("user 1", an_embedding(1.0))
        await stores.embeddings.get_many([f"user {n}" for n in range(20)], "r0001-aa")
        await stores.events.try_write()
        for n in range(20):
            assert await stores.events.delete(f"user {n}") == 1
        assert isinstance(stores.events, RedisEventStore)
        assert await stores.events.finish_erasures()
