"""Simulation speed: the same round ours, one client at a time in numpy, and in Flower's simulation with Ray."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.flower_simulation import OFFLINE
from benchmarks.machine import matrix_rate, provenance
from benchmarks.numpy_client import one_by_one
from benchmarks.process_memory import run_watched
from feature_store.arrays import Float32Array, Int64Array
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings
from training.client_update import ClientUpdate
from training.cohort import population, sample_cohort
from training.device import Placement
from training.histories import Histories
from training.reconstruction import curvature_update
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

REPETITIONS = 10
FLOWER_ROUNDS = 2
AGREEMENT = 1e-4  # of the largest entry of a sum: float32, added up in another order
_TRAINED = 5  # rounds before the measured one: the first vectors, still small, are easier than what training meets
_LIMIT = 1800.0  # seconds for one side in a process of its own

Side = Callable[[], ClientUpdate]


def measure_simulation(
    split: Split, dim: int, cohort: int, report: Callable[[str], None], *, flower: bool = True, tensorflow: bool = False
) -> dict[str, Any]:
    """Time the three ways on one round of a split, check that their sums agree, and give all as one JSON object.

    Args:
        split: whose train part the clients have.
        dim: of the item vectors.
        cohort: clients of the round; all, where there are fewer.
        report: is told what is being done.
        flower: whether Flower's simulation runs too; it takes minutes.
        tensorflow: whether our TensorFlow program, plain and compiled by XLA, and mixed precision run too.

    Raises:
        BadInput: two sides do not agree, so that their speeds say nothing.
    """
    report(f"training {_TRAINED} rounds for item vectors to measure with")
    settings = TrainingSettings(dim=dim, rounds=_TRAINED, cohort=cohort, patience=0)
    run = prepare(split, settings)
    *_, (state, _) = run.rounds(run.start(), validate=False)
    vectors, weights = run.item_vectors(state), run.fold_in
    members = sample_cohort(population(split.train), cohort, seed=1, round_number=0)
    histories = Histories.of([split.train[client] for client in members])

    sides: dict[str, Side] = {
        "vectorised": partial(curvature_update, vectors, histories, weights),
        "numpy": partial(one_by_one, vectors, histories, weights),
    }
    if tensorflow:
        for name, placement in _TENSORFLOW.items():
            sides[name] = partial(curvature_update, vectors, histories, weights, placement=placement)
    results: dict[str, dict[str, Any]] = {}
    updates: dict[str, ClientUpdate] = {}
    for name, side in sides.items():
        report(f"{name}: first call")
        started = time.perf_counter()
        updates[name] = side()
        results[name] = {"first_call_seconds": time.perf_counter() - started, "seconds": [], "cpu_seconds": []}
    rates = [matrix_rate()]
    _alternate(sides, results, report)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "round.npz"
        _save_round(file, vectors, histories, weights)
        for name in ("vectorised", "numpy"):
            report(f"{name}: memory, in a process of its own")
            results[name]["peak_memory_mb"] = float(_in_own_process("benchmarks.one_side", file.parent, name)[1])
        if flower:
            report(f"flower: {FLOWER_ROUNDS} rounds")
            printed, peak = _in_own_process("benchmarks.flower_simulation", file.parent, str(FLOWER_ROUNDS))
            results["flower"] = {**json.loads(printed.splitlines()[-1]), "peak_memory_mb": peak}
            updates["flower"] = _load_sums(file.parent / "sums.npz")
            report("the first sides once more, after Flower")
            _alternate(sides, results, report)
    rates.append(matrix_rate())

    for result in results.values():
        result["clients_per_second"] = len(histories) / min(result["seconds"])
    operations, rate = client_operations(histories.lengths, dim), max(rates)
    ours = results["vectorised"]
    return {
        "benchmark": "simulation",
        **provenance(),
        "data": {"clients": len(histories), "items": len(vectors), "entries": len(histories.rows), "dim": dim},
        "timing": (
            f"the best of {REPETITIONS} repetitions before Flower and as many after it, the sides taking turns; "
            f"of Flower the best of {FLOWER_ROUNDS} rounds, its start not counted"
        ),
        "memory": "most that a process for this side alone and all it starts held at a time, sampled; 0 without /proc",
        "sides": results,
        "ratios": {
            name: ours["clients_per_second"] / result["clients_per_second"]
            for name, result in results.items()
            if name != "vectorised"
        },
        "cpu_ratio_to_numpy": min(results["numpy"]["cpu_seconds"]) / min(ours["cpu_seconds"]),
        "largest_difference": {
            name: _require_agreement(name, update, updates["vectorised"]) for name, update in updates.items()
        },
        "floor": {
            "formula": "n·d·(d+1) + d³/3 + 5·d² + d + 5·n·d a client with n items at dim d, solved directly",
            "operations_per_client": operations / len(histories),
            "matrix_operations_per_second": rate,
            "floor_seconds": operations / rate,
            "share_reached": operations / rate / min(ours["seconds"]),
        },
    }


_TENSORFLOW = {
    "tensorflow": Placement("/CPU:0"),
    "tensorflow_xla": Placement("/CPU:0", xla=True),
    "tensorflow_mixed": Placement("/CPU:0", mixed_precision=True),
}


def client_operations(lengths: Int64Array, dim: int) -> float:
    """Additions and multiplications of these clients' updates, their systems formed and factorised.

    For n items: n·d·(d+1) for one triangle of Σ q qᵀ, d³/3 for Cholesky, 4·d² for two triangular solves, 2·n·d for
    the scores, n·d for the right side, 2·n·d to add residual times p, and d·(d+1) for p pᵀ. Conjugate gradients need
    4·n·d a step instead of the first three, and so can go below it.
    """
    n, d = lengths.astype(np.float64), float(dim)
    return float((n * d * (d + 1) + d**3 / 3 + 5 * d * d + d + 5 * n * d).sum())


def _alternate(sides: Mapping[str, Side], results: dict[str, dict[str, Any]], report: Callable[[str], None]) -> None:
    report(f"{', '.join(sides)}: {REPETITIONS} repetitions in turn")
    for _ in range(REPETITIONS):
        for name, side in sides.items():
            started, cpu = time.perf_counter(), time.process_time()
            side()
            results[name]["seconds"].append(time.perf_counter() - started)
            results[name]["cpu_seconds"].append(time.process_time() - cpu)


def _require_agreement(name: str, update: ClientUpdate, ours: ClientUpdate) -> float:
    """The largest difference between two updates, relative to the largest entry of each sum."""
    difference = max(
        float(np.abs(array - update.sums[key]).max() / np.abs(array).max()) for key, array in ours.sums.items()
    )
    allowed = 0.05 if name == "tensorflow_mixed" else AGREEMENT
    if update.clients != ours.clients or not difference <= allowed:
        raise BadInput(
            f"{name} summed {update.clients} clients and ours {ours.clients}, and a sum differs by {difference:.2g} of "
            f"its largest entry, where {allowed:.2g} is allowed: these are not the same computation"
        )
    return difference


def _save_round(file: Path, vectors: Float32Array, histories: Histories, weights: FoldInSettings) -> None:
    np.savez(
        file,
        item_vectors=vectors,
        rows=histories.rows,
        offsets=histories.offsets,
        weights=np.array([weights.alpha, weights.regularization]),
    )


def _load_sums(file: Path) -> ClientUpdate:
    with np.load(file) as arrays:
        sums = {name: arrays[name] for name in arrays.files if name not in {"loss", "clients"}}
        return ClientUpdate(sums, float(arrays["loss"]), int(arrays["clients"]))


def _in_own_process(module: str, folder: Path, argument: str) -> tuple[str, float]:
    environment = {**os.environ, **OFFLINE, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", module, str(folder), argument]
    try:
        return run_watched(command, environment, _LIMIT)
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"{module} {argument} took more than {_LIMIT:.0f} seconds") from error
