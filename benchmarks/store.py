"""The local stores: reading and writing user embeddings in Redis and in SQLite, beside raw redis-py in the same run."""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostConnection

from benchmarks.machine import provenance
from benchmarks.redis_server import redis_server
from feature_store.embedding import UserEmbedding
from feature_store.encryption import OVERHEAD, KeyRing, new_key
from feature_store.errors import BadInput
from feature_store.events import Event
from feature_store.redis_settings import RedisSettings
from feature_store.redis_store import open_redis
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores

_SEED = 1
_CHECKPOINT = "r0001-benchmark"
_MANY = 100
_PEOPLE_AT_ONCE = 200  # in one call that puts events
_EXTRAPOLATED = 1_000_000

Step: TypeAlias = Callable[[int], Awaitable[object]]  # what is done for the person of that number


class Load(NamedTuple):
    """How much is asked.

    users: people in each store.
    dim: numbers in an embedding.
    events: of each person.
    requests: timed of each kind, in all turns together.
    at_once: how many are under way at the same time in the second measurement.
    turns: how often each kind comes round.
    """

    users: int = 100_000
    dim: int = 64
    events: int = 20
    requests: int = 5000
    at_once: int = 16
    turns: int = 5


def measure_store(load: Load, url: str | None, report: Callable[[str], None]) -> dict[str, Any]:
    """Latency, throughput and size of the stores as one JSON object.

    Args:
        load: how much is asked.
        url: of a Redis whose database is empty, and is empty again afterwards; None starts a server for the time.
        report: is told what is being done.

    Raises:
        BadInput: there is no redis-server to start, or the database is not empty.
    """
    with tempfile.TemporaryDirectory(prefix="hearth-store-") as folder:
        return asyncio.run(_measured(load, url, Path(folder), report))


async def _measured(load: Load, url: str | None, folder: Path, report: Callable[[str], None]) -> dict[str, Any]:
    keys = KeyRing([new_key()])
    async with (
        redis_server(url, folder) as settings,
        _raw(settings) as raw,
        open_redis(settings, keys) as in_redis,
        open_sqlite(folder / "hearth.sqlite", keys) as in_file,
    ):
        server = await raw.info("server")
        sizes: dict[str, Any] = {"embedding_bytes": load.dim * 4, "events_of_each": load.events}
        report(f"Redis: {load.users:,} embeddings")
        sizes["redis"] = await _redis_sizes(in_redis, raw, load, report)
        report(f"SQLite: {load.users:,} embeddings")
        sizes["sqlite"] = await _sqlite_sizes(in_file, folder / "hearth.sqlite", load, report)
        report("raw redis-py: the same bytes")
        value = np.random.default_rng(_SEED).bytes(load.dim * 4 + 9 + OVERHEAD)
        await _in_parts(load.users, lambda number: raw.set(_raw_key(number), value))
        report("reading and writing by turns")
        gets = {
            "raw": lambda number: raw.get(_raw_key(number)),
            "redis": lambda number: in_redis.embeddings.get(_user(number), _CHECKPOINT),
            "sqlite": lambda number: in_file.embeddings.get(_user(number), _CHECKPOINT),
        }
        embeddings = _embeddings(load)
        puts = {
            "raw": lambda number: raw.set(_raw_key(number), value),
            "redis": lambda number: in_redis.embeddings.put(_user(number), embeddings[number % len(embeddings)]),
            "sqlite": lambda number: in_file.embeddings.put(_user(number), embeddings[number % len(embeddings)]),
        }
        figures = {
            "get": await _by_turns(gets, load, 1),
            "put": await _by_turns(puts, load, 1),
            f"get_{load.at_once}_at_once": await _by_turns(gets, load, load.at_once),
            f"put_{load.at_once}_at_once": await _by_turns(puts, load, load.at_once),
            f"get_many_of_{_MANY}": await _many(in_redis, in_file, raw, load),
        }
    return {
        "benchmark": "store",
        **provenance(),
        "redis": server["redis_version"],
        "load": load._asdict(),
        "timing": f"{load.turns} turns, in each of which every kind has its part of the requests",
        "figures": figures,
        "sizes": sizes,
        "targets": {
            "get_of_raw": 0.7,
            "met": figures["get"]["redis"]["of_raw"] >= 0.7
            and figures[f"get_{load.at_once}_at_once"]["redis"]["of_raw"] >= 0.7,
        },
    }


async def _redis_sizes(
    stores: LocalStores, raw: "Redis", load: Load, report: Callable[[str], None]
) -> dict[str, float | int]:
    async def used() -> int:
        return int((await raw.info("memory"))["used_memory"])

    empty = await used()
    await _fill_embeddings(stores, load)
    embedded = await used()
    report(f"Redis: {load.events} events of each")
    await _fill_events(stores, load)
    return _per_user(embedded - empty, await used() - empty, load)


async def _sqlite_sizes(
    stores: LocalStores, path: Path, load: Load, report: Callable[[str], None]
) -> dict[str, float | int]:
    def used() -> int:
        with closing(sqlite3.connect(path)) as connection:  # the log's pages go to the file
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return path.stat().st_size

    await _fill_embeddings(stores, load)
    embedded = used()
    report(f"SQLite: {load.events} events of each")
    await _fill_events(stores, load)
    return _per_user(embedded, used(), load)


def _per_user(embeddings: int, everything: int, load: Load) -> dict[str, float | int]:
    return {
        "bytes_per_user_embedding": embeddings / load.users,
        "bytes_per_user_with_events": everything / load.users,
        "extrapolated_users": _EXTRAPOLATED,
        "extrapolated_bytes_embedding": round(embeddings / load.users * _EXTRAPOLATED),
        "extrapolated_bytes_with_events": round(everything / load.users * _EXTRAPOLATED),
    }


async def _fill_embeddings(stores: LocalStores, load: Load) -> None:
    embeddings = _embeddings(load)
    await _in_parts(
        load.users, lambda number: stores.embeddings.put(_user(number), embeddings[number % len(embeddings)])
    )


async def _fill_events(stores: LocalStores, load: Load) -> None:
    items = np.random.default_rng(_SEED).integers(0, 100_000, size=(load.users, load.events))
    for start in range(0, load.users, _PEOPLE_AT_ONCE):
        people = range(start, min(start + _PEOPLE_AT_ONCE, load.users))
        await stores.events.put(
            [
                Event(f"e{number}-{place}", _user(number), f"item-{item:06}", "view", 1.7e9 + 60 * place)
                for number in people
                for place, item in enumerate(items[number])
            ]
        )


async def _in_parts(users: int, step: Step, at_once: int = 16) -> None:
    async def part(first: int) -> None:
        for number in range(first, users, at_once):
            await step(number)

    await asyncio.gather(*(part(first) for first in range(at_once)))


async def _by_turns(steps: Mapping[str, Step], load: Load, at_once: int) -> dict[str, dict[str, float]]:
    """What each kind takes when they take turns, each asking for the same people in the same order."""
    random = np.random.default_rng(_SEED)
    taken: dict[str, list[float]] = {name: [] for name in steps}
    seconds = dict.fromkeys(steps, 0.0)
    for _ in range(load.turns):
        numbers = random.integers(0, load.users, size=load.requests // load.turns)
        for name, step in steps.items():
            seconds[name] += await _timed(step, numbers.tolist(), at_once, taken[name])
    throughput = {name: len(taken[name]) / seconds[name] for name in steps}
    return {
        name: {
            "p50_microseconds": float(np.percentile(taken[name], 50) * 1e6),
            "p99_microseconds": float(np.percentile(taken[name], 99) * 1e6),
            "per_second": throughput[name],
            "of_raw": throughput[name] / throughput["raw"],
        }
        for name in steps
    }


async def _timed(step: Step, numbers: Sequence[int], at_once: int, taken: list[float]) -> float:
    """Seconds for all of them; how long each took is added to `taken`."""

    async def part(first: int) -> None:
        for number in numbers[first::at_once]:
            before = time.perf_counter()
            await step(number)
            taken.append(time.perf_counter() - before)

    started = time.perf_counter()
    if at_once == 1:
        await part(0)
    else:
        await asyncio.gather(*(part(first) for first in range(at_once)))
    return time.perf_counter() - started


async def _many(in_redis: LocalStores, in_file: LocalStores, raw: "Redis", load: Load) -> dict[str, Any]:
    """A hundred people in one call: how long it takes, and how often the server had something to read meanwhile."""

    def chosen(number: int) -> range:
        return range(number % max(1, load.users - _MANY), number % max(1, load.users - _MANY) + _MANY)

    async def raw_many(number: int) -> object:
        async with raw.pipeline(transaction=False) as pipeline:
            for one in chosen(number):
                pipeline.get(_raw_key(one))
            return await pipeline.execute()

    steps: dict[str, Step] = {
        "raw": raw_many,
        "redis": lambda number: in_redis.embeddings.get_many([_user(one) for one in chosen(number)], _CHECKPOINT),
        "sqlite": lambda number: in_file.embeddings.get_many([_user(one) for one in chosen(number)], _CHECKPOINT),
    }
    figures: dict[str, Any] = dict(await _by_turns(steps, load._replace(requests=load.requests // 20), 1))
    before = (await raw.info("stats"))["total_reads_processed"]
    await steps["redis"](0)
    after = (await raw.info("stats"))["total_reads_processed"]
    return {**figures, "round_trips": after - before - 1}  # one is that of asking


@asynccontextmanager
async def _raw(settings: RedisSettings) -> AsyncIterator["Redis"]:
    """redis-py alone, as it comes, to a database that is left as empty as it was found."""
    client = Redis.from_url(settings.url)
    try:
        try:
            held = await client.dbsize()
        except LostConnection as error:
            raise BadInput(f"the Redis at {settings.place} cannot be reached: {type(error).__name__}") from error
        if held:
            raise BadInput(f"the database of the Redis at {settings.place} holds {held:,} keys; an empty one is needed")
        try:
            yield client
        finally:
            await client.flushdb()
    finally:
        await client.aclose()


def _embeddings(load: Load) -> list[UserEmbedding]:
    vectors = np.random.default_rng(_SEED).normal(size=(64, load.dim)).astype(np.float32)
    return [UserEmbedding(vector, _CHECKPOINT, 7) for vector in vectors]


def _user(number: int) -> str:
    return f"user-{number:07}"


def _raw_key(number: int) -> str:
    return f"raw:{number:07}"
