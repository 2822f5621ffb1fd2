"""The books: counters and ledger of one place, opened together."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from feature_store.ad_counters import AdCounters
from feature_store.ad_counters_memory import InMemoryAdCounters
from feature_store.ad_counters_redis import open_redis_counters
from feature_store.ad_counters_sqlite import open_sqlite_counters
from feature_store.encryption import KeyRing
from feature_store.redis_connection import connected
from feature_store.redis_settings import RedisSettings
from serving.ads.ledger import Ledger
from serving.ads.ledger_memory import InMemoryLedger
from serving.ads.ledger_redis import RedisLedger
from serving.ads.ledger_sqlite import open_sqlite_ledger

_LOG = logging.getLogger("serving.ads")


class Books(NamedTuple):
    """What is spent and shown, and what was offered."""

    counters: AdCounters
    ledger: Ledger


@asynccontextmanager
async def open_books(
    keys: KeyRing | None, file: Path | None, redis: RedisSettings | None, busy_seconds: float
) -> AsyncIterator[Books]:
    """Those of a Redis, else of a file, else in memory, where they are forgotten with the process.

    keys: seal who was shown what; None in memory alone.
    file: SQLite, of the counters; the ledger is in another one beside it (`ledger_file`).

    Raises:
        StoreError: the place cannot be opened, or not now.
    """
    async with AsyncExitStack() as opened:
        if keys is None or (file is None and redis is None):
            _LOG.warning("no place is set for ads: what campaigns spend is forgotten when this process ends")
            yield Books(InMemoryAdCounters(), InMemoryLedger())
        elif redis is not None:
            connection = await opened.enter_async_context(connected(redis))
            yield Books(await opened.enter_async_context(open_redis_counters(redis, keys)), RedisLedger(connection))
        elif file is not None:
            counters = open_sqlite_counters(file, keys, busy_seconds=busy_seconds)
            ledger = open_sqlite_ledger(ledger_file(file), busy_seconds=busy_seconds)
            yield Books(await opened.enter_async_context(counters), await opened.enter_async_context(ledger))


def ledger_file(counters: Path) -> Path:
    """Where the ledger is that belongs to these counters.

    >>> ledger_file(Path("ads.sqlite")).name
    'ads.offers.sqlite'
    """
    return counters.with_name(f"{counters.stem}.offers{counters.suffix}")
