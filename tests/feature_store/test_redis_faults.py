"""What goes wrong with Redis: killed, full, read-only, out of reach, forbidden: named errors, nothing half done."""

import asyncio
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
from pydantic import SecretStr

from feature_store.ad_counters import Budget, Cap, OneShow
from feature_store.ad_counters_redis import open_redis_counters
from feature_store.encryption import KeyRing
from feature_store.errors import BadInput, StoreUnavailable
from feature_store.events import Event
from feature_store.history_limits import HistoryLimits
from feature_store.item_store_redis import open_redis_items
from feature_store.redis_events import RedisEventStore
from feature_store.redis_settings import RedisSettings
from feature_store.redis_store import open_redis
from feature_store.social_graph_redis import open_redis_graph
from tests.feature_store.embedding_store_contract import an_embedding
from tests.feature_store.event_store_contract import an_event
from tests.feature_store.item_store_contract import film
from tests.feature_store.redis_world import (
    NEW,
    OLD,
    PASSWORD,
    RING,
    documented_user,
    everything_in,
    people_in,
    settings_for,
    until,
)
from tests.feature_store.redis_writer import PARTS, PEOPLE
from tests.feature_store.social_graph_contract import ties
from tests.redis_server import free_port, running_redis

pytestmark = pytest.mark.anyio

WRITER = "tests.feature_store.redis_writer"


def writer(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-m", WRITER, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("batches", [40, pytest.param(2000, marks=pytest.mark.slow)])
async def test_no_acknowledged_event_is_lost_when_redis_is_killed_under_load(tmp_path: Path, batches: int) -> None:
    acknowledged = tmp_path / "acknowledged"
    with running_redis(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        with writer("endless", server.url, str(acknowledged), "w") as process:
            try:
                await until(lambda: acknowledged.exists() and acknowledged.read_bytes().count(b"\n") >= batches)
            finally:
                server.kill()  # with which the writer ends
            process.wait(30)
        told = defaultdict(set)
        for line in acknowledged.read_text().splitlines():
            person, number, new = map(int, line.split())
            assert new == PARTS
            told[f"user {person}"].add(number)
        server.start()
        async with open_redis(settings_for(server.url), RING, limits=HistoryLimits(events=100_000)) as stores:
            for person in range(PEOPLE):
                events = (await stores.events.get(f"user {person}")).events
                there = defaultdict(int)
                for event in events:
                    there[int(event.event_id.split("-")[1])] += 1
                assert told[f"user {person}"] <= there.keys()
                assert set(there.values()) == {PARTS}  # of each batch all or nothing
                assert len(there) <= len(told[f"user {person}"]) + 1  # the one that was under way
            assert sum(map(len, told.values())) >= batches


async def test_processes_that_write_for_one_person_at_once_lose_nothing(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        processes = [writer("some", server.url, name, "15") for name in ("a", "b")]
        new = [int(process.communicate(timeout=60)[0]) for process in processes]
        async with open_redis(settings_for(server.url), RING) as stores:
            assert len((await stores.events.get("ada")).events) == 45 == sum(new)


async def test_a_server_that_restarts_meanwhile_is_waited_for(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        async with open_redis(settings_for(server.url, retries=20, backoff_seconds=0.1), RING) as stores:
            await stores.events.put([an_event()])
            await asyncio.gather(*(stores.events.get("ada") for _ in range(5)))  # five connections that will be dead
            server.kill()
            put = asyncio.create_task(stores.events.put([an_event(), an_event("e2")]))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.start)
            assert await put == [False, True]
            assert len((await stores.events.get("ada")).events) == 2
            await stores.events.try_write()


async def test_a_server_out_of_reach_is_named_after_bounded_attempts(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match=f"the Redis at {url} cannot be reached"):
        async with open_redis(settings_for(url, retries=3), RING):
            pass
    with running_redis(tmp_path) as server:
        async with open_redis(settings_for(server.url, retries=1, timeout_seconds=0.2), RING) as stores:
            server.process.send_signal(19)  # SIGSTOP: connected, and never an answer
            try:
                with pytest.raises(StoreUnavailable, match="does not answer in time: HGET"):
                    await stores.events.get("ada")
                with pytest.raises(StoreUnavailable, match="does not answer in time: EVAL"):
                    await stores.events.try_write()
            finally:
                server.process.send_signal(18)
    assert time.monotonic() - started < 15


async def test_a_task_that_is_cancelled_leaves_no_reply_for_the_next(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with open_redis(settings_for(server.url, connections=1), RING) as stores:
            for n in range(20):
                await stores.events.put([an_event(user_id=f"user {n}", item_id=f"item {n}")])
            for n in range(20):
                task = asyncio.create_task(stores.events.met(f"user {n}"))
                for _ in range(n % 7):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert (await stores.events.met("user 3")).item_ids == ("item 3",)


async def test_a_full_server_keeps_what_it_has_and_says_that_it_is_full(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory-policy", "noeviction") as server, server.client() as client:
        async with open_redis(settings_for(server.url), RING) as stores:
            await stores.events.put([an_event()])
            await stores.embeddings.put("ada", an_embedding(1.0))
            client.config_set("maxmemory", client.info("memory")["used_memory"] - 1)
            before = everything_in(client)
            for write in (
                stores.events.put([an_event("e2")]),
                stores.embeddings.put("ada", an_embedding(2.0)),
                stores.events.try_write(),
            ):
                with pytest.raises(StoreUnavailable, match="is full: its memory has reached maxmemory"):
                    await write
            assert everything_in(client) == before
            assert len((await stores.events.get("ada")).events) == 1
            assert await stores.events.delete("ada") == 1  # erasing makes room
            client.config_set("maxmemory", 0)
            await stores.events.try_write()
            assert await stores.events.put([an_event("e2")]) == [True]


async def test_a_replica_takes_no_writes_and_a_missing_replica_is_told(tmp_path: Path) -> None:
    for name in ("master", "replica"):
        (tmp_path / name).mkdir()
    with running_redis(tmp_path / "master", "--repl-diskless-sync-delay", "0") as master:
        with pytest.raises(StoreUnavailable, match="has reached 0 replicas in time; asked for are 1"):
            async with open_redis(settings_for(master.url, wait_replicas=1, timeout_seconds=0.4), RING):
                pass
        with running_redis(tmp_path / "replica", "--replicaof", "127.0.0.1", str(master.port)) as replica:
            with replica.client() as client:
                await until(lambda: client.info("replication")["master_link_status"] == "up")
            async with open_redis(settings_for(master.url, wait_replicas=1), RING) as stores:
                assert await stores.events.put([an_event(), an_event(user_id="bob")]) == [True, True]
                with replica.client() as client:
                    assert len(people_in(client)) == 2  # now, not soon
            started = time.monotonic()
            async with open_redis(settings_for(replica.url, retries=2), RING) as stores:
                assert len((await stores.events.get("bob")).events) == 1
                with pytest.raises(StoreUnavailable, match="is a read-only replica"):
                    await stores.events.put([an_event("e2")])
            assert time.monotonic() - started < 5


async def test_a_fail_over_is_waited_for(tmp_path: Path) -> None:
    """The server at our address is a replica for a while, as behind a name that moves to the new master."""
    with running_redis(tmp_path) as server, server.client() as client:
        async with open_redis(settings_for(server.url, retries=10, backoff_seconds=0.1), RING) as stores:
            client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
            put = asyncio.create_task(stores.events.put([an_event()]))
            await asyncio.sleep(0.2)
            assert not put.done()
            client.execute_command("REPLICAOF", "NO", "ONE")
            assert await put == [True]


async def test_an_acl_user_with_the_documented_commands_can_do_everything(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--appendonly", "yes", "--save", "3600 1") as server, server.client() as client:
        client.execute_command(*documented_user())
        known = {"username": "cell", "password": SecretStr(PASSWORD), "rewrite_after": 30.0}
        async with open_redis(settings_for(server.url, expires_after=3600.0, **known), RING) as stores:
            assert isinstance(stores.events, RedisEventStore)
            await stores.events.put([an_event(), an_event(user_id="bob")])
            for n in range(3):
                await stores.embeddings.put("ada", an_embedding(1.0, checkpoint_id=f"r{n}"))
            await stores.embeddings.get_many(["ada", "bob"], "r2")
            await stores.events.get("ada")
            await stores.events.met("ada")
            await stores.events.try_write()
            assert await stores.events.rotate() == await stores.embeddings.rotate() == 0
            assert await stores.embeddings.checkpoint_ids() == {"r1", "r2"}
            assert await stores.events.forget_before(1.0) == 0
            assert await stores.events.delete("ada") == 1
            assert await stores.embeddings.delete("ada") == 2
            assert await stores.events.finish_erasures()
            assert [user_id async for user_id in stores.events.user_ids()] == ["bob"]
        async with open_redis(settings_for(server.url, **known), RING) as stores:
            await stores.events.put([an_event()])
        await use_items(settings_for(server.url, **known))
        await use_ties(settings_for(server.url, **known))
        await use_counters(settings_for(server.url, **known))
        assert [key for key in client.scan_iter() if not key.startswith(b"hearth:")] == []


async def use_items(settings: RedisSettings) -> None:
    """Every method, and every branch of a script that has a command of its own."""
    async with open_redis_items(settings, kept_removals=1) as items:
        assert await items.upsert([film("1"), film("2"), film("3")]) == 3
        assert await items.remove("films", ["1", "2"]) == 2
        assert [found and found.item_id for found in await items.get_many("films", ["1", "3"])] == [None, "3"]
        assert (await items.count("films"), await items.version("films")) == (1, 5)
        assert (await items.changes_since("films")).changed == ("3",)
        assert await items.verticals() == ["films"]


async def use_ties(settings: RedisSettings) -> None:
    async with open_redis_graph(settings, RING) as graph:
        assert await graph.add(ties("ada follow bob", "ada friend cy", "bob block ada")) == [True] * 3
        assert await graph.follows("ada") == ()
        assert await graph.friends("ada") == ("cy",)
        assert await graph.hidden_from("ada") == {"bob"}
        assert [relation.friends for relation in await graph.relations("ada", ["cy", "bob"])] == [True, False]
        assert await graph.remove(ties("bob block ada")) == [True]
    async with open_redis_graph(settings, KeyRing([NEW, OLD])) as graph:
        assert await graph.rotate() == 3
        assert await graph.delete("ada") == 1
        assert await graph.finish_erasures()


async def use_counters(settings: RedisSettings) -> None:
    async with open_redis_counters(settings, RING) as counters:
        for impression in ("i1", "i2", "i2", "i3"):
            await counters.try_spend("c", impression, 7, Budget(total=14, daily=14))
            await counters.try_show("ada", Cap("a", 2), impression)
        assert await counters.refund("c", "i1") == 7
        assert await counters.spent("c") == (7, 7)
        assert await counters.take_back_shows([OneShow("ada", "a", "i1")]) == [True]
        assert await counters.shown("ada", [Cap("a", 2)]) == [1]
        assert await counters.try_show("bob", Cap("a", 2, window=1), "i1") == (True, "new", 1)
        assert await counters.take_back_shows([OneShow("bob", "a", "i1")]) == [True]
    async with open_redis_counters(settings, KeyRing([NEW, OLD]), clock=lambda: time.time() + 10 * 86400) as counters:
        assert await counters.try_show("ada", Cap("a", 2), "i9") == (True, "new", 1)
        assert (await counters.try_spend("c", "i9", 7, Budget())).total == 14
        assert await counters.rotate() == 1
        assert await counters.delete("ada") == 1
        assert await counters.finish_erasures()


async def test_a_command_that_the_acl_refuses_is_named_and_no_password_is_shown(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        client.execute_command(*documented_user())
        known = {"username": "cell", "password": SecretStr(PASSWORD)}
        async with open_redis(settings_for(server.url, **known), RING) as stores:
            await stores.embeddings.put("ada", an_embedding(1.0))
            for refused in ("hget", "hset", "evalsha"):
                client.execute_command("ACL", "SETUSER", "cell", f"-{refused}")
                with pytest.raises(StoreUnavailable, match=f"its ACL refuses the command {refused}"):
                    await stores.embeddings.put("ada", an_embedding(1.0))
                client.execute_command("ACL", "SETUSER", "cell", f"+{refused}")
            client.execute_command("ACL", "SETUSER", "cell", "resetkeys", "~others:*")
            with pytest.raises(StoreUnavailable, match=r"its ACL refuses the keys hearth:\*"):
                await stores.events.get("ada")
        for wrong in ({"username": "cell", "password": SecretStr("wrong-password")}, {"password": SecretStr("guess")}):
            with pytest.raises(StoreUnavailable, match="does not know that user or password") as told:
                async with open_redis(settings_for(server.url, **wrong), RING):
                    pass
            shown = f"{told.value!r} {told.value.__cause__!r} {settings_for(server.url, **wrong)!r}"
            assert "wrong-password" not in shown
            assert "guess" not in shown
        client.config_set("requirepass", "needed")
        with pytest.raises(StoreUnavailable, match="asks for a password"):
            async with open_redis(settings_for(server.url), RING):
                pass


async def test_an_event_of_the_future_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        async with open_redis(settings_for(server.url), RING, clock=lambda: 1000.0) as stores:
            with pytest.raises(BadInput, match="1000"):
                await stores.events.put([an_event(), Event("e2", "bob", "heat", "view", 1e6)])
            assert people_in(client) == []


async def test_a_unix_socket_leads_to_the_same_store(tmp_path: Path) -> None:
    socket = tmp_path / "redis.sock"
    with running_redis(tmp_path, "--unixsocket", str(socket)) as server:
        async with open_redis(settings_for(f"unix://{socket}"), RING) as stores:
            await stores.events.put([an_event()])
        async with open_redis(settings_for(server.url), RING) as stores:
            assert len((await stores.events.get("ada")).events) == 1
        async with open_redis(settings_for(f"{server.url}/3"), RING) as stores:
            assert not (await stores.events.get("ada")).events
