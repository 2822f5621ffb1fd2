"""A program that the tests run, and kill, in a process of its own: it writes in the store of a SQLite file.

store_writer.py endless FILE ACKNOWLEDGED    put events of two people at a time; write the number of each pair
store_writer.py once FILE USER               open the file, put one event, close it
store_writer.py full FILE BYTES              put 50 events, then, files limited to that size, very many; then 1
store_writer.py read-only FILE               open the file as somebody who may only read it
store_writer.py rotate FILE NEW-KEY          put a new key on top and seal everything anew
store_writer.py erase FILE USER              erase the person
"""

import asyncio
import os
import resource
import sys
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path

from feature_store.encryption import KeyRing
from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from feature_store.rights import erase_person
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores

KEY = bytes(range(32))
NOBODY = 65534  # the user id that owns nothing


def opened(path: Path) -> AbstractAsyncContextManager[LocalStores]:
    return open_sqlite(path, KeyRing([KEY]))


async def put_endlessly(path: Path, acknowledged: Path) -> None:
    out = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with opened(path) as stores:
        first = len([user_id async for user_id in stores.events.user_ids()]) // 2
        for n in count(first):
            people = (f"left {n}", f"right {n}", f"left {n}")
            await stores.events.put([Event(f"e{part}", who, "heat", "view", 1.0) for part, who in enumerate(people)])
            os.write(out, f"{n}\n".encode())


async def put_once(path: Path, user_id: str) -> None:
    async with opened(path) as stores:
        await stores.events.put([Event("e1", user_id, "heat", "view", 1.0)])


async def put_on_a_full_disk(path: Path, limit: int) -> None:
    async with opened(path) as stores:
        await stores.events.put([Event(f"early{n}", "ada", "heat", "view", 1.0) for n in range(50)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            await stores.events.put([Event(f"e{n}", f"user {n}", "heat", "view", 1.0) for n in range(1500)])
        except StoreUnavailable as error:
            sys.stdout.write(str(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await stores.events.put([Event("after", "ada", "heat", "view", 2.0)])


async def read_only(path: Path) -> None:
    if os.geteuid() == 0:  # whom no permission stops
        os.seteuid(NOBODY)
    try:
        async with opened(path):
            sys.stdout.write("opened")
    except StoreUnavailable as error:
        sys.stdout.write(str(error))


async def rotate(path: Path, key: bytes) -> None:
    async with open_sqlite(path, KeyRing([key, KEY])) as stores:
        await stores.events.rotate()
        await stores.embeddings.rotate()


async def erase(path: Path, user_id: str) -> None:
    async with opened(path) as stores:
        await erase_person(stores, user_id)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["endless", path, acknowledged]:
            asyncio.run(put_endlessly(Path(path), Path(acknowledged)))
        case ["once", path, user_id]:
            asyncio.run(put_once(Path(path), user_id))
        case ["full", path, limit]:
            asyncio.run(put_on_a_full_disk(Path(path), int(limit)))
        case ["read-only", path]:
            asyncio.run(read_only(Path(path)))
        case ["rotate", path, key]:
            asyncio.run(rotate(Path(path), bytes.fromhex(key)))
        case ["erase", path, user_id]:
            asyncio.run(erase(Path(path), user_id))
