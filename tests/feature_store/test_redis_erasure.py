"""Nobody is found in the raw files of Redis; who was erased is not there even sealed once they are rewritten."""

import asyncio
import secrets
from pathlib import Path

import pytest

from feature_store.ad_counters import Cap
from feature_store.ad_counters_redis import open_redis_counters
from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from feature_store.redis_connection import connected
from feature_store.redis_events import RedisEventStore
from feature_store.redis_rewriting import NOTE, rewriting_of
from feature_store.redis_store import open_redis
from feature_store.social_graph_redis import open_redis_graph
from feature_store.stores import LocalStores
from tests.feature_store.embedding_store_contract import an_embedding
from tests.feature_store.redis_world import RING, people_in, settings_for, until
from tests.feature_store.social_graph_contract import ties
from tests.redis_server import running_redis

pytestmark = pytest.mark.anyio

PERSISTENT = ("--appendonly", "yes", "--appendfsync", "always", "--save", "3600 1")
# Texts and bytes as LZF in an RDB would still show them: nothing in them repeats.
PLAIN = [b"ada-lovelace-1815", b"rear-window-1954", b"event-of-ada-42", b"kind-of-hers-7"]
VECTOR = an_embedding(0.3183, -1.4142, 2.7182, 3.1415, 0.5772, -1.6180, 1.2020, 0.9159)


async def told_of_ada(stores: LocalStores) -> None:
    item, event, kind = (text.decode() for text in PLAIN[1:])
    await stores.events.put([Event(event, PLAIN[0].decode(), item, kind, 1234567.5), Event("e", "bob", "x", "view", 1)])
    await stores.embeddings.put(PLAIN[0].decode(), VECTOR)


def raw(folder: Path) -> bytes:
    """All bytes of all files."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


async def test_the_raw_dump_and_log_show_nobody_and_after_erasure_not_even_sealed_bytes(tmp_path: Path) -> None:
    with running_redis(tmp_path, *PERSISTENT) as server, server.client() as client:
        async with open_redis(settings_for(server.url, rewrite_after=3600.0), RING) as stores:
            await told_of_ada(stores)
            client.save()
            found = raw(tmp_path)
            key = f"hearth:{{{stores.events.pseudonym(PLAIN[0].decode())}}}".encode()
            sealed = list(client.hgetall(key).values())
            assert (tmp_path / "dump.rdb").exists()
            assert key in found  # the files are those of this server
            assert all(value in found for value in sealed if len(value) > 20)
            numbers = VECTOR.vector.tobytes()
            parts = [numbers[start : start + 8] for start in range(0, len(numbers), 4)][:-1]
            assert not [text for text in (*PLAIN, *parts) if text in found]

            assert isinstance(stores.events, RedisEventStore)
            assert await stores.events.delete(PLAIN[0].decode()) == 1
            assert await stores.embeddings.delete(PLAIN[0].decode()) == 1
            assert client.exists(key) == 0
            assert sealed[0] in raw(tmp_path)  # in the log, until it is written anew
            assert await stores.events.finish_erasures()
            assert not await stores.events.finish_erasures()
            left = raw(tmp_path)
            assert key not in left
            assert not [value for value in sealed if len(value) > 20 and value in left]
            assert stores.events.pseudonym("bob").encode() in left


async def test_files_are_written_anew_by_themselves_and_after_a_crash_by_the_next(tmp_path: Path) -> None:
    with running_redis(tmp_path, *PERSISTENT) as server, server.client() as client:
        async with open_redis(settings_for(server.url, rewrite_after=3600.0), RING) as stores:
            await told_of_ada(stores)
            pseudonym = stores.events.pseudonym(PLAIN[0].decode()).encode()
            await stores.events.delete(PLAIN[0].decode())
            await stores.embeddings.delete(PLAIN[0].decode())
        assert client.exists(NOTE)  # closed before the files were written anew
        assert pseudonym in raw(tmp_path)
        async with open_redis(settings_for(server.url, rewrite_after=0.05), RING):
            await until(lambda: not client.exists(NOTE))
        assert pseudonym not in raw(tmp_path)
        async with open_redis(settings_for(server.url, rewrite_after=0.05), RING) as stores:
            await stores.events.put([Event("e", "carl", "x", "view", 1.0)])
            await stores.events.forget_before(2.0)
            assert people_in(client) == []
            await until(lambda: not client.exists(NOTE))


async def test_who_leaves_the_files_to_redis_leaves_no_note(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        async with open_redis(settings_for(server.url, rewrite_after=None), RING) as stores:
            await told_of_ada(stores)
            await stores.events.delete(PLAIN[0].decode())
            assert not client.exists(NOTE)


async def test_a_person_is_erased_from_a_full_server_too_and_noted_in_the_room_that_this_makes(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory-policy", "noeviction") as server, server.client() as client:
        settings = settings_for(server.url, rewrite_after=3600.0)
        long = [secrets.token_hex(120) for _ in range(500)]
        async with open_redis(settings, RING) as stores:
            await stores.events.put([Event(name, "ada", name, "view", 1.0) for name in long])
        async with open_redis(settings, RING) as stores:
            client.config_set("maxmemory", client.info("memory")["used_memory"] - 1)
            with pytest.raises(StoreUnavailable, match="is full"):
                await stores.events.put([Event("e", "bob", "item", "view", 1.0)])
            assert await stores.events.delete("ada") == 500
            assert people_in(client) == []
            assert client.exists(NOTE)


async def test_a_disk_that_takes_no_file_is_told_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    no_stop = ("--stop-writes-on-bgsave-error", "no")
    with running_redis(folder, "--save", "3600 1", *no_stop) as server, server.client() as client:
        async with open_redis(settings_for(server.url, rewrite_after=3600.0), RING) as stores:
            assert isinstance(stores.events, RedisEventStore)
            await told_of_ada(stores)
            await stores.events.delete(PLAIN[0].decode())
            (folder / "dump.rdb").mkdir()  # a folder where the file should go
            with pytest.raises(StoreUnavailable, match="could not do BGSAVE"):
                await stores.events.finish_erasures()
            assert client.exists(NOTE)
            (folder / "dump.rdb").rmdir()
            assert await stores.events.finish_erasures()
            assert not client.exists(NOTE)


async def test_erased_ties_and_shows_of_ads_leave_the_files_of_redis_too(tmp_path: Path) -> None:
    with running_redis(tmp_path, *PERSISTENT) as server, server.client() as client:
        settings = settings_for(server.url, rewrite_after=3600.0)
        async with open_redis_graph(settings, RING) as graph, open_redis_counters(settings, RING) as counters:
            await graph.add(ties("ada follow bob", "cy block ada", "bob friend cy"))
            for person in ("ada", "bob"):
                await counters.try_show(person, Cap("an-ad", 3), "i1")
            for store, pseudonym in (
                (graph, graph._sealing.person("ada").hex().encode()),
                (counters, counters._sealing.person("ada").hex().encode()),
            ):
                hers = [key for key in client.scan_iter(b"*" + pseudonym + b"*") if client.type(key) == b"hash"]
                sealed = [value for key in hers for value in client.hvals(key) if len(value) > 30]
                assert sealed
                client.save()
                assert all(text in raw(tmp_path) for text in (pseudonym, *sealed))
                assert await store.delete("nobody") == 0
                assert not client.exists(NOTE)
                assert await store.delete("ada") > 0
                assert pseudonym in raw(tmp_path)  # in the log, until it is written anew
                assert await store.finish_erasures()
                assert not await store.finish_erasures()
                assert not [text for text in (pseudonym, *sealed) if text in raw(tmp_path)]
            assert counters._sealing.person("bob").hex().encode() in raw(tmp_path)


async def test_stores_that_erase_at_once_have_the_files_written_without_being_in_each_others_way(
    tmp_path: Path,
) -> None:
    with running_redis(tmp_path, *PERSISTENT) as server, server.client() as client:
        settings = settings_for(server.url, rewrite_after=3600.0)
        async with connected(settings) as connection, rewriting_of(connection, 3600.0) as first:
            async with first.erasing():
                pass
            finished = await asyncio.gather(*(first.finish() for _ in range(8)))
            assert finished == [True] * 8
            assert not client.exists(NOTE)


async def test_files_written_while_somebody_is_being_erased_are_written_once_more(tmp_path: Path) -> None:
    with running_redis(tmp_path, *PERSISTENT) as server, server.client() as client:
        async with connected(settings_for(server.url)) as connection, rewriting_of(connection, 3600.0) as rewriting:
            async with rewriting.erasing():
                assert await rewriting.finish()
                assert not client.exists(NOTE)
            assert client.exists(NOTE)
