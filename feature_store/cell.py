"""A cell: all that is kept of people in one place, opened together; its place is SQLite files or a Redis."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from feature_store.ad_counters import AdCounters
from feature_store.ad_counters_redis import open_redis_counters
from feature_store.ad_counters_sqlite import open_sqlite_counters
from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore, UnknownKey
from feature_store.redis_settings import RedisSettings
from feature_store.redis_store import open_redis
from feature_store.social_graph import SocialGraph
from feature_store.social_graph_redis import open_redis_graph
from feature_store.social_graph_sqlite import open_sqlite_graph
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores, PlaceOfPeople
from feature_store.unreadable import UNREADABLE


@dataclass(frozen=True, slots=True)
class CellFiles:
    """Where a cell's people are on a disk: a file of SQLite for each of three things, of which two may be absent."""

    store: Path
    social_graph: Path | None = None
    ad_counters: Path | None = None


class Cell(NamedTuple):
    """What is kept of people: their stores, and the social graph and the counters of ads where there are any."""

    stores: LocalStores
    social_graph: SocialGraph | None = None
    ad_counters: AdCounters | None = None

    @property
    def further(self) -> Mapping[str, PlaceOfPeople]:
        """What there is beside the stores, by the names that exports and receipts give it."""
        places = {"social_graph": self.social_graph, "ad_counters": self.ad_counters}
        return {name: place for name, place in places.items() if place is not None}

    async def rotate(self) -> int:
        """Seal all of it with the newest key, as `PlaceOfPeople.rotate`; how many values that were.

        Raises:
            CorruptStore, UnknownKey: of some people something cannot be read. It is done with all else, in all places.
        """
        sealed, left_out = 0, list[CorruptStore | UnknownKey]()
        further = [place.rotate for place in self.further.values()]
        for rotate in (self.stores.events.rotate, self.stores.embeddings.rotate, *further):
            try:
                sealed += await rotate()
            except UNREADABLE as error:
                left_out.append(error)
        if left_out:
            raise type(left_out[0])("; ".join(map(str, left_out)))
        return sealed


@asynccontextmanager
async def open_cell(place: CellFiles | RedisSettings, keys: KeyRing) -> AsyncIterator[Cell]:
    """The cell of that place; what there is not yet is made. A Redis always has all of it.

    Raises:
        StoreError: as `open_sqlite`, `open_redis` and their like.
    """
    async with AsyncExitStack() as opened:
        if isinstance(place, RedisSettings):
            stores = await opened.enter_async_context(open_redis(place, keys))
            graph = await opened.enter_async_context(open_redis_graph(place, keys))
            counters = await opened.enter_async_context(open_redis_counters(place, keys))
            yield Cell(stores, graph, counters)
            return
        stores = await opened.enter_async_context(open_sqlite(place.store, keys))
        yield Cell(
            stores,
            await opened.enter_async_context(open_sqlite_graph(place.social_graph, keys))
            if place.social_graph
            else None,
            await opened.enter_async_context(open_sqlite_counters(place.ad_counters, keys))
            if place.ad_counters
            else None,
        )
