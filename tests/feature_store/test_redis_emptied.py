"""A Redis that lost its memory under an open cell: what is written then can be found by whoever opens it next."""

import time
from pathlib import Path

import pytest

from feature_store.ad_counters import Cap, OneShow
from feature_store.cell import Cell, open_cell
from feature_store.errors import StoreUnavailable
from feature_store.social_graph import Tie
from tests.feature_store.redis_world import RING, settings_for
from tests.redis_server import running_redis

pytestmark = pytest.mark.anyio

CAP = Cap("shoes", 3)


def a_minute_passes(cell: Cell) -> None:
    for place in (cell.social_graph, cell.ad_counters):
        place._secret._looked = time.monotonic() - 60  # type: ignore[union-attr] # of those in Redis


async def test_ties_and_shows_of_an_emptied_server_are_found_by_the_next_who_opens_it(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        async with open_cell(settings_for(server.url), RING) as cell:
            assert cell.social_graph is not None
            assert cell.ad_counters is not None
            client.flushall()
            a_minute_passes(cell)
            assert await cell.social_graph.add([Tie("follow", "ada", "bob")]) == [True]
            assert (await cell.ad_counters.try_show("ada", CAP, "impression-1")).counted
        async with open_cell(settings_for(server.url), RING) as cell:
            assert cell.social_graph is not None
            assert cell.ad_counters is not None
            assert await cell.social_graph.follows("ada") == ("bob",)
            assert await cell.ad_counters.shown("ada", [CAP]) == [1]


async def test_nothing_is_written_or_read_by_the_names_of_a_store_that_is_no_more(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        async with open_cell(settings_for(server.url), RING) as cell:
            client.flushall()
            async with open_cell(settings_for(server.url), RING):
                graph, counters = cell.social_graph, cell.ad_counters
                assert graph is not None
                assert counters is not None
                keys = client.dbsize()
                for attempt in (
                    lambda: graph.add([Tie("follow", "ada", "bob")]),
                    lambda: graph.remove([Tie("follow", "ada", "bob")]),
                    lambda: graph.follows("ada"),
                    lambda: graph.relations("ada", ["bob"]),
                    lambda: graph.erase("ada"),
                    graph.rotate,
                    lambda: counters.try_show("ada", CAP, "impression-1"),
                    lambda: counters.take_back_shows([OneShow("ada", CAP.ad, "impression-1")]),
                    lambda: counters.shown("ada", [CAP]),
                    lambda: counters.export("ada"),
                    lambda: counters.delete("ada"),
                    counters.rotate,
                ):
                    a_minute_passes(cell)
                    with pytest.raises(StoreUnavailable, match="was emptied and holds another store now; open it anew"):
                        await attempt()
                assert client.dbsize() == keys
