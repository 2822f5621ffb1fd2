"""A program that the tests run in a process of its own: it writes in a store in Redis.

redis_writer.py endless URL ACKNOWLEDGED NAME   put events of 4 people, some at once; write each batch acknowledged
redis_writer.py some URL NAME COUNT             put so many events of ada, one by one, and of all writers one that is
                                                the same; print how many were new
"""

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from feature_store.history_limits import HistoryLimits
from feature_store.redis_store import open_redis
from feature_store.stores import LocalStores
from tests.feature_store.redis_world import RING, settings_for

PEOPLE, PARTS = 4, 3


async def put_endlessly(url: str, acknowledged: Path, name: str) -> None:
    out = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def put_of_one(stores: LocalStores, person: int) -> None:
        for n in count():
            events = [Event(f"{name}-{n}-{part}", f"user {person}", "heat", "view", float(n)) for part in range(PARTS)]
            try:
                flags = await stores.events.put(events)
            except StoreUnavailable:
                return
            os.write(out, f"{person} {n} {sum(flags)}\n".encode())

    limits = HistoryLimits(events=100_000)
    async with open_redis(settings_for(url, retries=0), RING, limits=limits) as stores:
        await asyncio.gather(*(put_of_one(stores, person) for person in range(PEOPLE)))


async def put_some(url: str, name: str, number: int) -> None:
    new = 0
    async with open_redis(settings_for(url), RING) as stores:
        for n in range(number):
            new += sum(
                await stores.events.put(
                    [
                        Event(f"{name}-{n}", "ada", "heat", "view", float(n)),
                        Event(f"shared-{n}", "ada", "heat", "view", float(n)),
                    ]
                )
            )
    sys.stdout.write(str(new))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["endless", url, acknowledged, name]:
            asyncio.run(put_endlessly(url, Path(acknowledged), name))
        case ["some", url, name, number]:
            asyncio.run(put_some(url, name, int(number)))
