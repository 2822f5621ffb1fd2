"""A program that the tests run, and kill, in a process of its own: it writes in the store of a SQLite file.

store_writer.py endless FILE ACKNOWLEDGED    put events one by one; write the id of each that was acknowledged
store_writer.py once FILE USER               open the file, put one event, close it
store_writer.py full FILE BYTES              put 50 events, then, files limited to that size, very many; then 1
"""

import asyncio
import os
import resource
import sys
from itertools import count
from pathlib import Path

from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from feature_store.sqlite import open_sqlite


async def put_endlessly(path: Path, acknowledged: Path) -> None:
    out = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with open_sqlite(path) as stores:
        first = len((await stores.events.get("ada")).events)
        for n in count(first):
            await stores.events.put([Event(f"e{n}-{part}", "ada", "heat", "view", float(n)) for part in range(3)])
            os.write(out, f"{n}\n".encode())


async def put_once(path: Path, user_id: str) -> None:
    async with open_sqlite(path) as stores:
        await stores.events.put([Event("e1", user_id, "heat", "view", 1.0)])


async def put_on_a_full_disk(path: Path, limit: int) -> None:
    async with open_sqlite(path) as stores:
        await stores.events.put([Event(f"early{n}", "ada", "heat", "view", 1.0) for n in range(50)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            await stores.events.put([Event(f"e{n}", "ada", "heat", "view", 1.0) for n in range(20_000)])
        except StoreUnavailable as error:
            sys.stdout.write(str(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await stores.events.put([Event("after", "ada", "heat", "view", 2.0)])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["endless", path, acknowledged]:
            asyncio.run(put_endlessly(Path(path), Path(acknowledged)))
        case ["once", path, user_id]:
            asyncio.run(put_once(Path(path), user_id))
        case ["full", path, limit]:
            asyncio.run(put_on_a_full_disk(Path(path), int(limit)))
