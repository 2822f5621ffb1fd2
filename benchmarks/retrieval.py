"""Retrieval: our indexes and what others would take, one query at a time in one thread, in the same run.

Of each way of searching: recall of the best ten, time by the clock and of the CPU, seconds to build, bytes. All take
turns, so that what else the machine does meets them alike; times of the CPU, which waiting is no part of, are what
ratios are formed of.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.machine import provenance
from benchmarks.redis_server import redis_server
from benchmarks.retrieval_items import Asked, made_up, trained
from benchmarks.retrieval_searches import Build, Search, searches
from feature_store.arrays import BoolArray
from feature_store.errors import BadInput
from training.split import Split

BEST = 10
JUDGE = "exact"
_TURNS = 4
_WARMING = 2  # queries before any is timed

Filters = Mapping[str, float]
FILTERS: Filters = {"none": 1.0, "50 %": 0.5, "1 %": 0.01, "0.1 %": 0.001}
"""What part of the items is eligible, drawn by chance for each query anew."""


class Load(NamedTuple):
    """What is asked.

    sizes: items, for each of which everything is built anew.
    dim: numbers in a vector.
    queries: of each kind, in all turns together.
    only: names of the searches; empty for all.
    redis: whether a Redis is started beside.
    """

    sizes: Sequence[int] = (10_000, 100_000, 1_000_000)
    dim: int = 64
    queries: int = 200
    only: Sequence[str] = ()
    redis: bool = True


def measure_retrieval(load: Load, split: Split | None, report: Callable[[str], None]) -> dict[str, Any]:
    """The figures as one JSON object.

    Args:
        load: what is asked.
        split: what a training gets its item vectors from, in the place of made-up ones; its items are the only size.
        report: is told what is being done.

    Raises:
        BadInput: a search is named that there is not, or there is no redis-server to start.
    """
    with threadpool_limits(1), tempfile.TemporaryDirectory(prefix="hearth-retrieval-") as folder:
        rows = asyncio.run(_measured(load, split, Path(folder), report))
    return {
        "benchmark": "retrieval",
        **provenance(),
        "load": load._asdict(),
        "data": "made up" if split is None else "trained on the split",
        "threads": 1,
        "timing": f"{_TURNS} turns, in each of which every search has its part of the queries",
        "rows": rows,
    }


async def _measured(
    load: Load, split: Split | None, folder: Path, report: Callable[[str], None]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if not load.redis:
        with searches(None) as builds:
            return _of_all(builds, load, split, report)
    async with redis_server(None, folder) as server:
        with searches(server.url) as builds:
            rows = _of_all(builds, load, split, report)
    return rows


def _of_all(
    builds: Mapping[str, Build], load: Load, split: Split | None, report: Callable[[str], None]
) -> list[dict[str, Any]]:
    if unknown := sorted(set(load.only) - builds.keys()):
        raise BadInput(f"there is no search {unknown[0]!r}; there are {', '.join(builds)}")
    chosen = {name: build for name, build in builds.items() if not load.only or name in (JUDGE, *load.only)}
    if split is not None:
        return _of_one(trained(split, load.dim, load.queries, report), chosen, report)
    rows = []
    for items in load.sizes:
        report(f"{items:,} items")
        rows += _of_one(made_up(items, load.dim, load.queries), chosen, report)
    return rows


def _of_one(asked: Asked, builds: Mapping[str, Build], report: Callable[[str], None]) -> list[dict[str, Any]]:
    """The rows of one matrix."""
    built: dict[str, Search] = {}
    costs: dict[str, dict[str, float]] = {}
    for name, build in builds.items():
        report(f"{len(asked.vectors):,} items: {name} is built")
        begun, cpu = time.perf_counter(), time.process_time()
        built[name] = build(asked)
        seconds = time.process_time() - cpu + built[name].elsewhere()
        costs[name] = {"seconds": round(time.perf_counter() - begun, 2), "cpu_seconds": round(seconds, 2)}
    rows = []
    for filtering, share in FILTERS.items():
        report(f"{len(asked.vectors):,} items: eligible {filtering}")
        timed = _by_turns(asked, {name: one for name, one in built.items() if one.filters or share == 1}, share)
        judge = timed[JUDGE]["cpu_ms"]
        rows += [
            {
                "search": name,
                "items": len(asked.vectors),
                "dim": asked.vectors.shape[1],
                "eligible": filtering,
                **figures,
                "faster_than_exact": round(judge / figures["cpu_ms"], 2),
                "build": costs[name],
                "bytes": built[name].size,
            }
            for name, figures in timed.items()
        ]
    return rows


def _by_turns(asked: Asked, built: Mapping[str, Search], share: float) -> dict[str, dict[str, float]]:
    clocks: dict[str, list[float]] = {name: [] for name in built}
    cpu: dict[str, float] = dict.fromkeys(built, 0.0)
    right: dict[str, int] = dict.fromkeys(built, 0)
    best = 0
    masks = [_eligible(len(asked.vectors), share, number) for number in range(min(len(asked.queries), 8))]
    for part in np.array_split(np.arange(len(asked.queries)), _TURNS):
        needed = [_needed(asked, number, masks[number % len(masks)]) for number in part.tolist()]
        best += sum(count for _, count in needed)
        for name, search in built.items():
            for number in part[:_WARMING].tolist():
                search.find(asked.queries[number], BEST, masks[number % len(masks)])
            found, before, begun = [], search.elsewhere(), time.process_time()
            for number in part.tolist():
                started = time.perf_counter()
                found.append(search.find(asked.queries[number], BEST, masks[number % len(masks)]))
                clocks[name].append(time.perf_counter() - started)
            cpu[name] += time.process_time() - begun + search.elsewhere() - before
            for number, rows, (least, _) in zip(part.tolist(), found, needed, strict=True):
                kept = rows[masks[number % len(masks)][rows]]
                right[name] += int(np.count_nonzero(asked.vectors[kept] @ asked.queries[number] >= least))
    return {
        name: {
            "recall_at_10": round(right[name] / best, 4),
            "p50_ms": round(float(np.percentile(clocks[name], 50)) * 1e3, 4),
            "p99_ms": round(float(np.percentile(clocks[name], 99)) * 1e3, 4),
            "per_second": round(len(clocks[name]) / sum(clocks[name]), 1),
            "cpu_ms": round(cpu[name] / len(clocks[name]) * 1e3, 4),
        }
        for name in built
    }


def _eligible(items: int, share: float, number: int) -> BoolArray:
    if share == 1:
        return np.ones(items, np.bool_)
    result: BoolArray = np.random.default_rng([2, number]).random(items) < share
    return result


def _needed(asked: Asked, number: int, eligible: BoolArray) -> tuple[float, int]:
    """What a product must reach to be one of the best, but for its last bits, and how many there are."""
    products = (asked.vectors @ asked.queries[number])[eligible]
    count = min(BEST, len(products))
    if not count:
        return np.inf, 0
    least = float(np.partition(products, len(products) - count)[len(products) - count])
    return least - 1e-5 * float(np.abs(products).max()), count
