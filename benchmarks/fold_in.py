"""Fold-in speed: one person at a time, and a sweep over everybody, beside the matrix rate of the machine."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.machine import matrix_rate, provenance
from benchmarks.redis_server import redis_server
from feature_store.arrays import Float32Array, Int32Array
from feature_store.checkpoint import Checkpoint
from feature_store.encryption import KeyRing, new_key
from feature_store.events import Event
from feature_store.fold_in import FoldInSettings, fold_in, fold_in_many
from feature_store.manifest import CheckpointManifest
from feature_store.memory import open_memory
from feature_store.redis_store import open_redis
from feature_store.refold import refold
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores
from feature_store.vocabulary import ItemVocabulary

_ONE_BY_ONE = 2000  # people folded in alone, a time each
_PEOPLE_AT_ONCE = 200  # in one call that puts events
_WEIGHTS = FoldInSettings(alpha=0.2, regularization=0.01)


def measure_fold_in(
    people: int, items: int, dim: int, events: int, report: Callable[[str], None], *, sweep_people: int | None = None
) -> dict[str, Any]:
    """Fold made-up people in alone, all together, and in a sweep over each kind of store; one JSON object.

    Histories and vectors are random: what folding in costs does not depend on what they are.

    Args:
        people: in the array of everybody.
        items: of the catalogue.
        dim: of the item vectors.
        events: of each person, with as many items.
        report: is told what is being done.
        sweep_people: in each store, whose filling takes longest; by default all.

    Raises:
        BadInput: there is no redis-server to start.
    """
    random = np.random.default_rng(0)
    vectors = (random.standard_normal((items, dim), np.float32) / np.sqrt(dim)).astype(np.float32)
    gram = vectors.T @ vectors
    histories = [_distinct(random, items, events) for _ in range(people)]

    report(f"{_ONE_BY_ONE} people, one by one")
    alone = []
    for history in (histories * (_ONE_BY_ONE // people + 1))[:_ONE_BY_ONE]:
        started = time.perf_counter()
        fold_in(vectors, gram, history, _WEIGHTS)
        alone.append(time.perf_counter() - started)
    report(f"{people:,} people at once")
    rates = [matrix_rate()]
    started = time.perf_counter()
    fold_in_many(vectors, gram, histories, _WEIGHTS)
    together = time.perf_counter() - started
    rates.append(matrix_rate())
    swept = sweep_people or people
    with tempfile.TemporaryDirectory(prefix="hearth-fold-in-") as folder:
        sweeps = asyncio.run(_sweeps(_checkpoint(vectors, gram), histories[:swept], Path(folder), report))

    operations = direct_operations(events, dim)
    return {
        "benchmark": "fold-in",
        **provenance(),
        "data": {"people": people, "items": items, "dim": dim, "events": events},
        "one": {
            "microseconds_median": 1e6 * median(alone),
            "microseconds_p99": 1e6 * float(np.quantile(alone, 0.99)),
            "microseconds_least": 1e6 * min(alone),
        },
        "many": {"seconds": together, "people_per_second": people / together},
        "sweeps": {
            place: {"people": swept, "seconds": seconds, "people_per_second": swept / seconds}
            for place, seconds in sweeps.items()
        },
        "floor": {
            "formula": "n·d·(d+1) + d³/3 + 5·d² + n·d a person with n items at dim d, solved directly",
            "operations_per_person": operations,
            "matrix_operations_per_second": max(rates),
            "seconds": people * operations / max(rates),
            "share_reached": people * operations / max(rates) / together,
        },
    }


def direct_operations(events: int, dim: int) -> float:
    """Additions and multiplications of one fold-in whose system is formed and factorised.

    n·d·(d+1) for one triangle of Σ q qᵀ, n·d for the right side, d³/3 for Cholesky, 4·d² for the triangular solves and
    d² for α QᵀQ and the ridge. Conjugate gradients need 4·n·d a step instead of most of it, and so can go below it.
    """
    return events * dim * (dim + 1) + dim**3 / 3 + 5 * dim**2 + events * dim


def _distinct(random: np.random.Generator, items: int, count: int) -> Int32Array:
    rows: Int32Array = random.choice(items, count, replace=False, shuffle=False).astype(np.int32)
    return rows


def _checkpoint(vectors: Float32Array, gram: Float32Array) -> Checkpoint:
    items = len(vectors)
    vocabulary = ItemVocabulary([f"item-{row}" for row in range(items)])
    manifest = CheckpointManifest.model_construct(checkpoint_id="measured", fold_in=_WEIGHTS)
    return Checkpoint(manifest, vocabulary, vectors, gram, np.ones(items, np.float32))


async def _sweeps(
    checkpoint: Checkpoint, histories: Sequence[Int32Array], folder: Path, report: Callable[[str], None]
) -> dict[str, float]:
    """Seconds of a sweep over everybody, by where they are."""
    keys = KeyRing([new_key()])
    async with (
        redis_server(None, folder) as settings,
        open_sqlite(folder / "people.sqlite", keys) as in_file,
        open_redis(settings, keys) as in_redis,
    ):
        taken = {}
        for place, stores in (("memory", open_memory()), ("sqlite", in_file), ("redis", in_redis)):
            report(f"{len(histories):,} people into {place}")
            await _fill(stores, checkpoint.vocabulary, histories)
            report(f"a sweep over {len(histories):,} people in {place}")
            started = time.perf_counter()
            await refold(stores, checkpoint)
            taken[place] = time.perf_counter() - started
        return taken


async def _fill(stores: LocalStores, vocabulary: ItemVocabulary, histories: Sequence[Int32Array]) -> None:
    for start in range(0, len(histories), _PEOPLE_AT_ONCE):
        await stores.events.put(
            [
                Event(f"e{place}", f"p{start + person}", vocabulary.item_ids[row], "click", float(place))
                for person, history in enumerate(histories[start : start + _PEOPLE_AT_ONCE])
                for place, row in enumerate(history.tolist())
            ]
        )
