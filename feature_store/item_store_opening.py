"""From the place of a store, in one text, to the store: a SQLite file or a Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from feature_store.item_store import ItemStore
from feature_store.item_store_redis import open_redis_items
from feature_store.item_store_sqlite import open_sqlite_items
from feature_store.redis_settings import RedisSettings

_OF_REDIS = ("redis://", "rediss://", "unix://")


def is_redis(place: str) -> bool:
    """Whether the place is a Redis."""
    return place.startswith(_OF_REDIS)


@asynccontextmanager
async def open_items(place: str, redis: RedisSettings | None = None) -> AsyncIterator[ItemStore]:
    """The items of that place.

    Args:
        place: a file of SQLite, which is made where there is none, or the URL of a Redis.
        redis: who we are to the Redis and how long we try, where that is more than the URL.
    """
    if is_redis(place):
        async with open_redis_items(redis or RedisSettings(url=place)) as items:
            yield items
    else:
        async with open_sqlite_items(Path(place)) as items:
            yield items
