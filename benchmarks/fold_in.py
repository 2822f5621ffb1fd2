"""Fold-in speed: one person at a time, and a sweep over everybody, beside the matrix rate of the machine."""

import asyncio
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.machine import matrix_rate, provenance
from feature_store.arrays import Int32Array
from feature_store.checkpoint import Checkpoint
from feature_store.events import Event
from feature_store.fold_in import FoldInSettings, fold_in, fold_in_many
from feature_store.manifest import CheckpointManifest
from feature_store.memory import open_memory
from feature_store.refold import refold
from feature_store.vocabulary import ItemVocabulary

_ONE_BY_ONE = 2000  # people folded in alone, a time each
_WEIGHTS = FoldInSettings(alpha=0.2, regularization=0.01)


def measure_fold_in(
    people: int, items: int, dim: int, events: int, report: Callable[[str], None], *, sweep_people: int | None = None
) -> dict[str, Any]:
    """Fold made-up people in alone, all together, and in a sweep over a store in memory; one JSON object.

    Histories and vectors are random: what folding in costs does not depend on what they are.

    Args:
        people: in the array of everybody.
        items: of the catalogue.
        dim: of the item vectors.
        events: of each person, with as many items.
        report: is told what is being done.
        sweep_people: in the store, whose filling takes longest; by default all.
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
    report(f"a sweep over {swept:,} people in a store in memory")
    sweep = asyncio.run(_sweep(vectors, gram, histories[:swept]))

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
        "sweep": {"people": swept, "seconds": sweep, "people_per_second": swept / sweep},
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


async def _sweep(vectors: Any, gram: Any, histories: list[Int32Array]) -> float:
    items = len(vectors)
    vocabulary = ItemVocabulary([f"item-{row}" for row in range(items)])
    manifest = CheckpointManifest.model_construct(checkpoint_id="measured", fold_in=_WEIGHTS)
    checkpoint = Checkpoint(manifest, vocabulary, vectors, gram, np.ones(items, np.float32))
    stores = open_memory()
    for person, history in enumerate(histories):
        await stores.events.put(
            [
                Event(f"e{place}", f"p{person}", vocabulary.item_ids[row], "click", float(place))
                for place, row in enumerate(history.tolist())
            ]
        )
    started = time.perf_counter()
    await refold(stores, checkpoint)
    return time.perf_counter() - started
