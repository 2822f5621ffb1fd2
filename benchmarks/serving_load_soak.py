"""A soak: a load that goes on for minutes, looked at minute by minute: errors, latency, what the server takes.

The load stays the same. Where a minute's requests take more of the processor, either the server has more to do for
each, or the machine does less in the time.
"""

import threading
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.served import Served
from benchmarks.serving_load import Load
from benchmarks.serving_load_peers import cpu_seconds

_WINDOW = 60.0  # seconds
_SAMPLE = 1.0  # seconds between two samples


class Sample(NamedTuple):
    """The server's memory in 10^6 bytes, and the processor time that it has taken so far, at a monotonic time."""

    at: float
    megabytes: float
    cpu_seconds: float


def soak(server: Served, load: Load, rate: float, seconds: float) -> dict[str, Any]:
    """Requests a second for so long, by minute; and by how much memory and p99 of the last differ from the first's."""
    samples: list[Sample] = []
    ended = threading.Event()

    def take() -> None:
        samples.append(Sample(time.monotonic(), server.megabytes(), cpu_seconds(server.pid)))

    def sample() -> None:
        while not ended.wait(_SAMPLE):
            take()

    thread = threading.Thread(target=sample)
    take()
    thread.start()
    try:
        answers = load.run(rate, seconds)
    finally:
        ended.set()
        thread.join()
    take()
    minutes = minutes_of(answers, samples)
    return {
        "rate": rate,
        "seconds": seconds,
        "requests": len(answers),
        "failed": sum(minute["failed"] for minute in minutes),
        "cpu_milliseconds": 1e3 * (samples[-1].cpu_seconds - samples[0].cpu_seconds) / len(answers),
        "minutes": minutes,
        "megabytes_grown": minutes[-1]["megabytes"] - minutes[0]["megabytes"],
        "p99_ratio": minutes[-1]["p99"] / minutes[0]["p99"],
    }


def minutes_of(answers: NDArray[Any], samples: list[Sample], window: float = _WINDOW) -> list[dict[str, Any]]:
    """By minute in which requests were due; what is left over at the end belongs to the last.

    answers: as `benchmarks.serving_load.Load.run` gives them, at least one.
    samples: at least one, in the order of time.
    """
    first, last = float(answers["due"][0]), float(answers["due"][-1])
    count = max(1, round((last - first) / window))
    sampled, computed = np.array([(sample.at, sample.cpu_seconds) for sample in samples]).T
    minutes = []
    for minute in range(count):
        since = first + minute * window
        until = since + window if minute < count - 1 else last + window
        those = answers[(answers["due"] >= since) & (answers["due"] < until)]
        held = [sample.megabytes for sample in samples if since <= sample.at < until]
        began, ended = np.interp((since, min(until, last)), sampled, computed).tolist()
        p50, p99 = np.percentile(1e3 * (those["done"] - those["due"]), (50, 99)).tolist()
        minutes.append(
            {
                "requests": len(those),
                "failed": int((those["status"] != 200).sum()),
                "p50": p50,
                "p99": p99,
                "cpu_milliseconds": 1e3 * (ended - began) / len(those),
                "megabytes": float(np.median(held)) if held else 0.0,
                "megabytes_highest": max(held, default=0.0),
            }
        )
    return minutes
