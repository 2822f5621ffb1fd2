"""A tie or a show that cannot be read keeps nobody from being erased, nor anybody else from a change of keys."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from feature_store.ad_counters import Cap
from feature_store.cell import Cell, CellFiles, open_cell
from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore
from feature_store.redis_settings import RedisSettings
from feature_store.rights import erase_person
from feature_store.social_graph import Tie
from tests.feature_store.event_store_contract import an_event
from tests.feature_store.redis_world import NEW, OLD, settings_for
from tests.redis_server import running_redis

pytestmark = pytest.mark.anyio

Place = CellFiles | RedisSettings
CAP = Cap("shoes", 3)


@asynccontextmanager
async def damaged(kind: str, folder: Path) -> AsyncIterator[tuple[Place, Callable[[], None]]]:
    """A place, and what damages all that ada follows and was shown."""
    if kind == "sqlite":
        place = CellFiles(folder / "people.sqlite", folder / "graph.sqlite", folder / "ads.sqlite")

        def damage() -> None:
            for file, statement in (
                (place.social_graph, "UPDATE ties SET sealed = randomblob(60) WHERE list = 0"),  # 0: follow
                (place.ad_counters, "UPDATE shows SET sealed = randomblob(60)"),
            ):
                assert file is not None
                with closing(sqlite3.connect(file)) as other:
                    assert other.execute(statement).rowcount == 1
                    other.commit()

        yield place, damage
        return
    with running_redis(folder) as server, server.client() as client:

        def damage() -> None:
            (follows,) = client.scan_iter("hearth:graph:*:follow")
            (shows,) = client.scan_iter("hearth:ads:{*}:*")
            (edge,) = client.hkeys(follows)
            client.hset(follows, edge, b"damaged" * 9)
            client.hset(shows, "ad", b"damaged" * 9)

        yield settings_for(server.url), damage


async def lived_in(cell: Cell) -> None:
    assert cell.social_graph is not None
    assert cell.ad_counters is not None
    await cell.stores.events.put([an_event()])
    await cell.social_graph.add([Tie("follow", "ada", "bob"), Tie("friend", "ada", "eve")])
    await cell.ad_counters.try_show("ada", CAP, "impression-1")


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_a_person_with_a_damaged_tie_and_a_damaged_show_can_be_erased(kind: str, tmp_path: Path) -> None:
    async with damaged(kind, tmp_path) as (place, damage), open_cell(place, KeyRing([OLD])) as cell:
        await lived_in(cell)
        damage()
        receipt = await erase_person(cell.stores, "ada", cell.further)
        assert dict(receipt.removed) == {"events": 1, "embeddings": 0, "social_graph": 2, "ad_counters": 1}
        assert receipt.is_complete
        assert cell.social_graph is not None
        assert cell.ad_counters is not None
        assert await cell.social_graph.friends("eve") == ()
        assert await cell.social_graph.follows("ada") == ()
        assert await cell.ad_counters.shown("ada", [CAP]) == [0]


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_a_change_of_keys_does_all_places_and_tells_of_each_what_it_left(kind: str, tmp_path: Path) -> None:
    async with damaged(kind, tmp_path) as (place, damage):
        async with open_cell(place, KeyRing([OLD])) as cell:
            await lived_in(cell)
        damage()
        async with open_cell(place, KeyRing([NEW, OLD])) as cell:
            with pytest.raises(
                CorruptStore, match=r"of ties were sealed anew, but for 1 .*of shows were sealed anew, but"
            ):
                await cell.rotate()
        async with open_cell(place, KeyRing([NEW])) as cell:
            assert cell.social_graph is not None
            assert await cell.social_graph.friends("ada") == ("eve",)
            assert len((await cell.stores.events.get("ada")).events) == 1


async def test_an_erasure_ends_where_a_tie_was_copied_to_another_place(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        async with open_cell(settings_for(server.url), KeyRing([OLD])) as cell:
            await lived_in(cell)
            assert cell.social_graph is not None
            (follows,) = client.scan_iter("hearth:graph:*:follow")
            ((_, sealed),) = client.hgetall(follows).items()
            client.hset(follows, b"x" * 16, sealed)
            assert (await cell.social_graph.erase("ada"))["follow"] == 2
            assert not client.exists(follows)
