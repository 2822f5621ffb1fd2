"""What phases of a steady load came to: failures, percentiles of latency, and their ratio to the quiet phases."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.open_load import failed
from feature_store.arrays import Float64Array

QUIET = "quiet"
_AROUND = 1.0  # seconds before and after the effect of a change


class Phase(NamedTuple):
    """One phase. Times in seconds of `time.monotonic`.

    kind: what was done; `QUIET` for nothing.
    effect: when what was done took effect; in a quiet phase its middle.
    before, highest: memory of the server at the beginning and at most, in 10^6 bytes.
    """

    kind: str
    began: float
    effect: float
    ended: float
    before: float
    highest: float


def figures_of(phases: Sequence[Phase], replies: NDArray[Any]) -> dict[str, Any]:
    """By kind of phase: requests, failures, latencies in milliseconds, and memory.

    A request belongs to the phase in which it was due. Latencies are those of recommendations, from when they were due;
    failures are of all requests. `ratio` is the p99 of all phases of a kind together, by that of all quiet phases;
    `around_ratio` the same of the seconds around their effects; `ratios` that of each phase alone: among quiet phases
    it is what chance and the machine do.
    """
    kinds = dict.fromkeys(phase.kind for phase in phases)
    quiet = _p99([_latencies(replies, phase.began, phase.ended) for phase in phases if phase.kind == QUIET])
    return {kind: _of_kind([phase for phase in phases if phase.kind == kind], replies, quiet) for kind in kinds}


def worst(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The highest ratio of a kind but quiet, and all failures."""
    return {
        "failed": sum(of["failed"] for of in kinds.values()),
        "ratio": max(of["ratio"] for kind, of in kinds.items() if kind != QUIET),
    }


def _of_kind(phases: Sequence[Phase], replies: NDArray[Any], quiet: float) -> dict[str, Any]:
    of_phases = [_due_in(replies, phase.began, phase.ended) for phase in phases]
    latencies = [_latencies(replies, phase.began, phase.ended) for phase in phases]
    around = [
        _latencies(replies, max(phase.began, phase.effect - _AROUND), min(phase.ended, phase.effect + _AROUND))
        for phase in phases
    ]
    together = np.concatenate(latencies)
    everything = np.concatenate(of_phases)
    p50, p95, p99 = np.percentile(together, (50, 95, 99)).tolist()
    return {
        "phases": len(phases),
        "seconds": sum(phase.ended - phase.began for phase in phases),
        "requests": len(everything),
        "failed": int(failed(everything).sum()),
        "statuses": {
            str(status): int(count)
            for status, count in zip(*np.unique(everything["status"], return_counts=True), strict=True)
        },
        "degraded": int(everything["degraded"].sum()),
        "p50_milliseconds": p50,
        "p95_milliseconds": p95,
        "p99_milliseconds": p99,
        "longest_milliseconds": float(together.max()),
        "around_p99_milliseconds": _p99(around),
        "events_p99_milliseconds": _p99([_taken(everything[everything["events"]])]),
        "ratio": p99 / quiet,
        "around_ratio": _p99(around) / quiet,
        "ratios": [_p99([taken]) / quiet for taken in latencies],
        "seconds_to_effect": [phase.effect - phase.began for phase in phases],
        "megabytes_before": max(phase.before for phase in phases),
        "megabytes_highest": max(phase.highest for phase in phases),
    }


def _due_in(replies: NDArray[Any], since: float, until: float) -> NDArray[Any]:
    first, last = np.searchsorted(replies["due"], (since, until))
    return replies[first:last]


def _latencies(replies: NDArray[Any], since: float, until: float) -> Float64Array:
    due = _due_in(replies, since, until)
    return _taken(due[~due["events"]])


def _taken(replies: NDArray[Any]) -> Float64Array:
    """Milliseconds from when each was due to its reply, or to when it was given up."""
    result: Float64Array = 1e3 * (replies["done"] - replies["due"])
    return result


def _p99(latencies: Sequence[Float64Array]) -> float:
    """Of all of them together; 0 where there are none."""
    together = np.concatenate(latencies)
    return float(np.percentile(together, 99)) if len(together) else 0.0
