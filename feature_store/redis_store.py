"""Local stores in Redis: for the people of an edge cell, shared by its servers.

Of each person there is one hash, so that an embedding is one `HGET`, a person one slot of a cluster, and erasing one
command.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from feature_store.embedding import UserEmbedding
from feature_store.encryption import KeyRing
from feature_store.event_weights import EventWeights
from feature_store.history_limits import HistoryLimits
from feature_store.met import MetItems
from feature_store.redis_connection import connected
from feature_store.redis_embeddings import RedisUserEmbeddingStore, field_of
from feature_store.redis_events import MET, RedisEventStore
from feature_store.redis_people import open_people
from feature_store.redis_rewriting import rewriting_of
from feature_store.redis_settings import RedisSettings
from feature_store.stores import Clock, LocalStores


@asynccontextmanager
async def open_redis(
    settings: RedisSettings,
    keys: KeyRing,
    *,
    limits: HistoryLimits | None = None,
    weights: EventWeights | None = None,
    clock: Clock = time.time,
    may_be_away: bool = False,
) -> AsyncIterator[LocalStores]:
    """The two stores of that Redis, which are made where there are none.

        async with open_redis(RedisSettings(url="redis://127.0.0.1"), keys_from_file(path)) as stores:
            await stores.events.put([event])

    may_be_away: a server that cannot be reached now is no error: each method raises `StoreUnavailable` until it can.

    Raises:
        StoreError: as `feature_store.index_secret_redis.redis_secret`, and so does each method of the stores.
    """
    async with connected(settings) as connection:
        people = await open_people(connection, keys, may_be_away=may_be_away)
        async with rewriting_of(connection, settings.rewrite_after, may_be_away=may_be_away) as rewriting:
            expiry = round((settings.expires_after or 0) * 1000)
            events = RedisEventStore(
                people, rewriting, limits or HistoryLimits(), weights or EventWeights(), clock, expiry
            )
            embeddings = RedisUserEmbeddingStore(people, rewriting, expiry)

            async def both(user_id: str, checkpoint_id: str) -> tuple[MetItems, UserEmbedding | None]:
                """In one round trip: both are fields of the person's hash."""
                person = await people.person(user_id)
                fields = (MET, field_of(checkpoint_id))
                met, embedding = await connection.ask("HMGET", person.key, *fields)
                found = events.opened_met(person, met)
                return found, embeddings.opened(person, checkpoint_id, embedding) if found.item_ids else None

            yield LocalStores(events, embeddings, both)
