"""A soak: a load that goes on for minutes, looked at minute by minute: errors, latency, what the server takes.

The load stays the same. Where a minute's requests take more of the processor, either the server has more to do for
each, or the machine does less in the time. Which of the two, a yardstick says: a piece of work that is always the same,
done once a second beside it.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.served import Served
from benchmarks.serving_load import Load
from benchmarks.serving_load_peers import cpu_seconds

_WINDOW = 60.0  # seconds
_SAMPLE = 1.0  # seconds between two samples
_NUMBERS, _LOOKED_UP = 1_000_000, 5000  # of the yardstick, which takes about a millisecond


class Sample(NamedTuple):
    """A moment, of the monotonic clock.

    megabytes: of memory that the server holds.
    cpu_seconds: that it has computed so far.
    yardstick: seconds of processor time that a piece of work took which is always the same.
    """

    at: float
    megabytes: float
    cpu_seconds: float
    yardstick: float


def soak(server: Served, load: Load, rate: float, seconds: float) -> dict[str, Any]:
    """Requests a second for so long, by minute; and by how much memory and p99 of the last differ from the first's."""
    samples: list[Sample] = []
    ended, yardstick = threading.Event(), _yardstick()

    def take() -> None:
        samples.append(Sample(time.monotonic(), server.megabytes(), cpu_seconds(server.pid), yardstick()))

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


def _yardstick() -> Callable[[], float]:
    """Look numbers up all over a large list, in Python: bound by caches and the interpreter, as a server is."""
    numbers = random.Random(1).sample(range(_NUMBERS), _NUMBERS)  # noqa: S311 - nothing hangs on it
    places = numbers[:_LOOKED_UP]

    def took() -> float:
        began = time.thread_time()
        sum(numbers[numbers[place]] for place in places)
        return time.thread_time() - began

    return took


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
        taken = [sample for sample in samples if since <= sample.at < until]
        began, ended = np.interp((since, min(until, last)), sampled, computed).tolist()
        p50, p99 = np.percentile(1e3 * (those["done"] - those["due"]), (50, 99)).tolist()
        minutes.append(
            {
                "requests": len(those),
                "failed": int((those["status"] != 200).sum()),
                "p50": p50,
                "p99": p99,
                "cpu_milliseconds": 1e3 * (ended - began) / len(those),
                "megabytes": _median(sample.megabytes for sample in taken),
                "megabytes_highest": max((sample.megabytes for sample in taken), default=0.0),
                "yardstick_milliseconds": 1e3 * _median(sample.yardstick for sample in taken),
            }
        )
    return minutes


def _median(numbers: Iterable[float]) -> float:
    found = list(numbers)
    return float(np.median(found)) if found else 0.0
