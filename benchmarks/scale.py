"""Size: rounds over synthetic populations on disk, from ten thousand people to a million.

Each population runs in a process of its own, whose peak memory is the figure.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import peak_memory_megabytes, provenance
from benchmarks.synthetic import synthetic_clients
from feature_store.errors import BadInput
from training.cohort import sample_cohort
from training.histories import Chosen
from training.history_files import open_histories, write_histories
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.recommender import make_algorithm
from training.server_state import ServerState
from training.settings import AlgorithmSettings

_SEED = 1


def measure_scale(
    populations: Sequence[int], items: int, dim: int, share: float, report: Callable[[str], None]
) -> dict[str, Any]:
    """Two rounds over each population, and how the cost grows, as one JSON object.

    Args:
        populations: numbers of people, ascending, at least two.
        items: of the catalogue.
        dim: of the item vectors.
        share: of the people, who take part in a round; above 0, at most 1.
        report: is told what is being done.

    Raises:
        BadInput: fewer than two populations, a share of them that is the same number of people in each or none, or
            one whose process failed.
    """
    if not 0 < share <= 1:
        raise BadInput(f"the share of people in a round is above 0 and at most 1; got {share}")
    if len(set(populations)) < 2:
        raise BadInput(f"how cost grows takes at least two populations; got {list(populations)}")
    cohorts = [_cohort(people, share) for people in populations]
    if len(set(cohorts)) < 2:
        raise BadInput(
            f"how cost grows takes rounds of different sizes; a share of {share} of {list(populations)} people is "
            f"{cohorts}"
        )
    measured = []
    for people in populations:
        report(f"{people:,} people x {items:,} items")
        measured.append(_in_own_process(people, items, dim, share))
    return scale_figures(measured, items, dim, share)


def scale_figures(measured: Sequence[dict[str, Any]], items: int, dim: int, share: float) -> dict[str, Any]:
    """The figures of `measure_population` for several populations, and how the cost grows from one to the next."""
    clients = np.log([population["cohort"] for population in measured])

    def slope(name: str) -> float:
        return float(np.polyfit(clients, np.log([population[name] for population in measured]), 1)[0])

    return {
        "benchmark": "scale",
        **provenance(),
        "data": {"items": items, "dim": dim, "share_of_a_round": share},
        "timing": "the better of two rounds, the first of them on a new model",
        "populations": list(measured),
        "growth": {
            "exponent": slope("client_seconds"),
            "cpu_exponent": slope("client_cpu_seconds"),
            "meaning": "seconds grow with clients to the power of this; 1 is linear, below 1 a fixed part shows",
        },
    }


def measure_population(folder: Path, people: int, items: int, dim: int, share: float) -> dict[str, Any]:
    """Write a population into `folder`, run two rounds over it, and say what they took.

    Returns:
        write_seconds: of making up the population and putting it on disk; the rest is training.
        client_seconds: the client updates of a round, reading included; the better of the two rounds, as all that
            follow.
        client_cpu_seconds: what all cores together worked on them; it says most on a machine that is busy.
        server_seconds: broadcast and server step.
        peak_memory_mb: of this process, from its start on.
    """
    started = time.perf_counter()
    with write_histories(folder) as writer:
        for rows, lengths in synthetic_clients(people, items, _SEED):
            writer.append(rows, lengths)
    histories = open_histories(folder)
    write_seconds = time.perf_counter() - started
    tower = ItemTower(ItemFeatures.of_categories([()] * items), dim)
    algorithm = make_algorithm(tower, people, AlgorithmSettings(dim=dim))
    parameters = tower.init(_SEED)
    state, rounds = ServerState(0, parameters, algorithm.server.init(parameters)), []
    for number in range(2):
        members = sample_cohort(np.arange(people), _cohort(people, share), _SEED, number)
        before = time.perf_counter()
        vectors = algorithm.broadcast(state)
        sent, worked = time.perf_counter(), time.process_time()
        update = algorithm.client_update(vectors, Chosen(histories, members))
        answered, worked = time.perf_counter(), time.process_time() - worked
        state = algorithm.server.apply(state, update)
        rounds.append((worked, answered - sent, sent - before + time.perf_counter() - answered))
    cpu_took = min(cpu for cpu, _, _ in rounds)
    clients_took = min(seconds for _, seconds, _ in rounds)
    server_took = min(seconds for _, _, seconds in rounds)
    return {
        "people": people,
        "cohort": len(members),
        "interactions": int(histories.offsets[-1]),
        "bytes_on_disk": sum(file.stat().st_size for file in folder.iterdir()),
        "write_seconds": write_seconds,
        "client_seconds": clients_took,
        "client_cpu_seconds": cpu_took,
        "server_seconds": server_took,
        "clients_per_second": len(members) / clients_took,
        "peak_memory_mb": peak_memory_megabytes(),
    }


def _cohort(people: int, share: float) -> int:
    return max(1, round(share * people))


def _in_own_process(people: int, items: int, dim: int, share: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="hearth-scale-") as folder:
        command = [sys.executable, "-m", "benchmarks.scale", folder, *map(str, (people, items, dim, share))]
        done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)  # noqa: S603 - this module itself
    if done.returncode:
        raise BadInput(
            f"the process for {people:,} people x {items:,} items ended with {done.returncode}: {done.stderr}"
        )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    _, _folder, _people, _items, _dim, _share = sys.argv
    figures = measure_population(Path(_folder), int(_people), int(_items), int(_dim), float(_share))
    print(json.dumps(figures))  # noqa: T201 - the parent reads it
