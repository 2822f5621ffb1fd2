"""Communication: ranking quality against the bytes that a cell sends and receives, beside no compression."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

from benchmarks.machine import provenance
from benchmarks.peers import judge, quick_peers
from benchmarks.top_rows import rows_within, top_rows_bytes, with_top_rows
from training.cohort import population
from training.evaluation import Quality
from training.loop import run_rounds
from training.run import prepare
from training.server_state import ServerState
from training.settings import TrainingSettings
from training.split import Split
from training.transport import simulation

ENOUGH = 0.97
"""Of the centralised NDCG: bytes are added up until a run reaches so much of it."""
CELLS = 3
_EVERYBODY: Mapping[str, Any] = {"learning_rate": 1.0, "decay_rounds": 20.0, "momentum": 0.0}


class Way(NamedTuple):
    """One way to train.

    name: what tables call it.
    compression: settings of `training.compression`, if any.
    everybody: without compression: whether everybody takes part in a round, with the steps of compressed rounds.
    top_rows: that the cells send so many rows of their own choice.
    """

    name: str
    compression: Mapping[str, Any] | None = None
    everybody: bool = True
    top_rows: int | None = None

    def settings(self, people: int, dim: int, rounds: int, seed: int) -> TrainingSettings:
        """Those of a run."""
        given: dict[str, Any] = {"dim": dim, "rounds": rounds, "seed": seed, "patience": 0}
        if self.compression is not None:
            return TrainingSettings.model_validate(given | {"compression": {"cells": CELLS, **self.compression}})
        more = {"cohort": people, "curvature": _EVERYBODY} if self.everybody else {}
        return TrainingSettings.model_validate(given | more)


class Round(NamedTuple):
    """What is known after a round: bytes of a cell in that round, and quality on the test part."""

    uplink: int
    downlink: int
    quality: Quality


def ways(items: int, dim: int) -> list[Way]:
    """Those compared; docs/communication.md says how the settings were chosen, on validation data."""
    return [
        Way("whole sums of a cohort of 600", everybody=False),
        Way("whole sums of everybody"),
        Way("a fourth: 42 levels, all rows", {"levels": 42, "rows": 1.0, "spread": 5.0}),
        Way("an eighth: 2 levels, all rows", {"levels": 2, "rows": 1.0}),
        Way("the same, float32 down", {"levels": 2, "rows": 1.0, "table": "float32"}),
        Way("a sixteenth: 2 levels, 45 % of the rows", {}),
        Way("2 levels, 20 % of the rows", {"rows": 0.2}),
        Way("a sixteenth: the longest rows, not masked", top_rows=rows_within(whole_bytes(items, dim) // 16, dim)),
    ]


def whole_bytes(items: int, dim: int) -> int:
    """What a cell sends in a round without compression, in float32: the sums of `curvature_update`, loss and clients.

    >>> whole_bytes(3628, 64)
    974188
    """
    return (items * (dim + 2) + dim * dim + 1) * 4 + 8


def measure_communication(
    split: Split,
    *,
    dim: int,
    rounds: int,
    seeds: Sequence[int],
    report: Callable[[str], None],
    chosen: Sequence[Way] | None = None,
) -> dict[str, Any]:
    """Train each way, and judge every round on the test part. Nothing is chosen here.

    Args:
        split: the data.
        dim: numbers in an item vector.
        rounds: of each run; the survey of compressed ones is among them.
        seeds: of the start, of who is in which cell, and of the cohorts.
        report: is told what is being done.
        chosen: the ways; by default `ways`.
    """
    final, items = split.judged, len(split.vocabulary)
    report("centralised")
    centralised = mean(quality.ndcg for quality in judge(quick_peers(dim)[1], split, seeds).qualities)
    compared = ways(items, dim) if chosen is None else chosen
    trained = []
    for way in compared:
        report(way.name)
        trained.append([list(_rounds(way, final, dim, rounds, seed)) for seed in seeds])
    return {
        "benchmark": "communication",
        **provenance(),
        "people": len(population(final.train)),
        "items": items,
        "dim": dim,
        "rounds": rounds,
        "cells": CELLS,
        "seeds": len(seeds),
        "centralised_ndcg@20": centralised,
        "enough": ENOUGH,
        "ways": [
            _figures(way, runs, whole_bytes(items, dim), ENOUGH * centralised)
            for way, runs in zip(compared, trained, strict=True)
        ],
    }


def _rounds(way: Way, split: Split, dim: int, rounds: int, seed: int) -> Iterator[Round]:
    everybody = population(split.train)
    run = prepare(split, way.settings(len(everybody), dim, rounds, seed))
    told = run.rounds(run.start(), validate=False)
    if way.top_rows is not None:
        algorithm = with_top_rows(run.algorithm, run.fold_in, way.top_rows)
        transport = simulation(algorithm, split.train, everybody, len(everybody), seed, CELLS)
        told = run_rounds(algorithm, transport, run.start(), rounds=rounds)
    before: ServerState = run.start()
    for state, report in told:
        uplink = report.uplink_bytes_per_client if way.top_rows is None else top_rows_bytes(way.top_rows, dim)
        yield Round(uplink, run.algorithm.broadcast(before).nbytes, run.test(state))
        before = state


def _uplinks(runs: Sequence[Sequence[Round]]) -> list[float]:
    """Bytes up a round, of each run."""
    return [mean(one.uplink for one in run) for run in runs]


def _figures(way: Way, runs: Sequence[Sequence[Round]], whole: int, enough: float) -> dict[str, Any]:
    last = [run[-1].quality.figures() for run in runs]
    names = ("ndcg@20", "recall@20", "hr@10")
    reached = [next((place for place, one in enumerate(run, 1) if one.quality.ndcg >= enough), None) for run in runs]
    there = [(run, place) for run, place in zip(runs, reached, strict=True) if place is not None]
    all_there = len(there) == len(runs)
    return {
        "way": way.name,
        "compression": None if way.compression is None else dict(way.compression),
        **{name: mean(each[name] for each in last) for name in names},
        "spread": {name: stdev(each[name] for each in last) if len(last) > 1 else 0.0 for name in names},
        "uplink_bytes_a_round": mean(_uplinks(runs)),
        "downlink_bytes_a_round": mean(mean(one.downlink for one in run) for run in runs),
        "uplink_ratio": whole / mean(_uplinks(runs)),
        "rounds_until_enough": mean(place for _, place in there) if all_there else None,
        "uplink_bytes_until_enough": mean(_sent(run, place) for run, place in there) if all_there else None,
        "curve": [
            {
                "uplink_bytes": mean(_sent(run, place) for run in runs),
                "ndcg@20": mean(r[place - 1].quality.ndcg for r in runs),
            }
            for place in range(1, len(runs[0]) + 1)
        ],
    }


def _sent(run: Sequence[Round], rounds: int) -> int:
    """Bytes up in the first so many rounds."""
    return sum(one.uplink for one in run[:rounds])
