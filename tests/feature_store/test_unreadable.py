"""What cannot be read of one person costs nobody else anything: in SQLite and in Redis."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import pytest

from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore
from feature_store.redis_store import open_redis
from feature_store.rights import erase_person, export_person, forget_before
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores
from tests.feature_store.embedding_store_contract import an_embedding
from tests.feature_store.event_store_contract import an_event
from tests.feature_store.redis_world import NEW, OLD, settings_for
from tests.redis_server import running_redis

pytestmark = pytest.mark.anyio

KINDS = ("sqlite", "redis")
PEOPLE = [f"person-{number}" for number in range(6)]
LAST = 9.0  # time of everybody's second event

Damage = Callable[[str, str], None]  # pseudonym in hex, name of the value


@asynccontextmanager
async def opened(
    kind: str, folder: Path
) -> AsyncIterator[tuple[LocalStores, Damage, Callable[[KeyRing], AbstractAsyncContextManager[LocalStores]]]]:
    """Stores in which everybody has two events and an embedding, what damages a value, and another opening."""
    if kind == "sqlite":
        path = folder / "people.sqlite"

        def damage(pseudonym: str, name: str) -> None:
            table, column = ("embeddings", "sealed") if name == "embedding" else ("people", name)
            with closing(sqlite3.connect(path)) as other:
                statement = f"UPDATE {table} SET {column} = zeroblob(90) WHERE pseudonym = ?"  # noqa: S608 - our names
                assert other.execute(statement, (bytes.fromhex(pseudonym),)).rowcount == 1
                other.commit()

        async with open_sqlite(path, KeyRing([OLD])) as stores:
            await lived_in(stores)
            yield stores, damage, lambda ring: open_sqlite(path, ring)
        return
    with running_redis(folder) as server, server.client() as client:

        def damage(pseudonym: str, name: str) -> None:
            field = "e:r0001-aa" if name == "embedding" else name
            assert client.hset(f"hearth:{{{pseudonym}}}", field, b"damaged" * 9) == 0

        async with open_redis(settings_for(server.url), KeyRing([OLD])) as stores:
            await lived_in(stores)
            yield stores, damage, lambda ring: open_redis(settings_for(server.url), ring)


async def lived_in(stores: LocalStores) -> None:
    for user_id in PEOPLE:
        await stores.events.put([an_event("e1", user_id, timestamp=1.0), an_event("e2", user_id, timestamp=LAST)])
        await stores.embeddings.put(user_id, an_embedding(1.0, 2.0))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in KINDS for name in ("id", "log", "met", "embedding")] + [("redis", "n"), ("redis", "o")],
)
async def test_a_person_of_whom_anything_is_damaged_can_be_erased(kind: str, name: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (stores, damage, _):
        damage(stores.events.pseudonym(PEOPLE[2]), name)
        receipt = await erase_person(stores, PEOPLE[2])
        assert all(receipt.removed.values())
        assert receipt.is_complete
        document = await export_person(stores, PEOPLE[2])
        assert document["events"] == {"events": [], "earlier": []}
        assert document["embeddings"] == {"embeddings": []}
        assert sorted([user_id async for user_id in stores.events.user_ids()]) == sorted({*PEOPLE} - {PEOPLE[2]})
        assert await stores.events.put([an_event("e1", PEOPLE[2])]) == [True]


@pytest.mark.parametrize("kind", KINDS)
async def test_who_cannot_be_named_any_more_can_be_after_their_next_event(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (stores, damage, _):
        damage(stores.events.pseudonym(PEOPLE[2]), "id")
        await stores.events.put([an_event("e3", PEOPLE[2])])
        assert sorted([user_id async for user_id in stores.events.user_ids()]) == PEOPLE


@pytest.mark.parametrize("name", ["id", "log"])
@pytest.mark.parametrize("kind", KINDS)
async def test_retention_goes_on_behind_a_damaged_person_and_tells_who_was_left(
    kind: str, name: str, tmp_path: Path
) -> None:
    async with opened(kind, tmp_path) as (stores, damage, _):
        damaged = stores.events.pseudonym(PEOPLE[2])
        damage(damaged, name)
        with pytest.raises(CorruptStore, match=rf"5 events were forgotten, but for 1 people .*pseudonyms {damaged}\)"):
            await forget_before(stores, LAST)
        left = [len((await stores.events.get(user_id)).events) for user_id in PEOPLE if user_id != PEOPLE[2]]
        assert left == [1] * 5
        kept = await stores.embeddings.get_many(PEOPLE, "r0001-aa")
        # All met their one item again at `LAST`, so that nothing of an embedding is forgotten.
        assert [embedding is not None for embedding in kept] == [name == "id" or n != 2 for n in range(6)]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_change_of_keys_goes_on_behind_damaged_people_and_tells_who_was_left(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (stores, damage, reopened):
        log, vector = stores.events.pseudonym(PEOPLE[1]), stores.events.pseudonym(PEOPLE[4])
        damage(log, "log")
        damage(vector, "embedding")
        async with reopened(KeyRing([NEW, OLD])) as both:
            with pytest.raises(CorruptStore, match=rf"values were sealed anew, but for 1 .*pseudonyms {log}\)"):
                await both.events.rotate()
            with pytest.raises(CorruptStore, match=rf"5 embeddings were sealed anew, but .*pseudonyms {vector}\)"):
                await both.embeddings.rotate()
        async with reopened(KeyRing([NEW])) as after:
            for number in {*range(6)} - {1}:
                assert len((await after.events.get(PEOPLE[number])).events) == 2
            kept = await after.embeddings.get_many([PEOPLE[number] for number in (0, 1, 2, 3, 5)], "r0001-aa")
            assert kept == [an_embedding(1.0, 2.0)] * 5
