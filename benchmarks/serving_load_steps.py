"""Steps of a load: the most requests a second at which 99 of 100 replies are there in so many milliseconds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_FINE = 1.08  # a rate that is met and one that is missed are near enough to each other then
_UP = 1.5  # from a rate that is met, where none is missed yet
_LEAST = 1 / 16  # of the first rate; what does not meet the bound then never does


class Step(NamedTuple):
    """A load at one rate for a while.

    rate: requests a second that were due; 0 where the next went out as soon as a reply was there.
    rps: requests a second that were answered as they should be.
    failed: requests with no reply, or another status than 200.
    p50, p99: milliseconds from when a request was due to its reply.
    cpu_milliseconds: of the server's process for one request, all threads.
    late_p99: milliseconds by which requests went out after they were due: the load's own part of the latencies.
    """

    rate: float
    requests: int
    rps: float
    failed: int
    p50: float
    p99: float
    cpu_milliseconds: float
    late_p99: float

    def meets(self, bound: float) -> bool:
        """Whether nobody met an error, and the p99 is at most so many milliseconds."""
        return self.failed == 0 and self.p99 <= bound


def step_of(rate: float, answers: NDArray[Any], cpu_seconds: float) -> Step:
    """The figures of one step; answers: as `benchmarks.serving_load.Load.run` gives them, at least one."""
    taken = 1e3 * (answers["done"] - answers["due"])
    right = answers["status"] == 200
    seconds = max(float(answers["done"].max() - answers["due"][0]), 1e-9)
    p50, p99 = np.percentile(taken, (50, 99)).tolist()
    return Step(
        rate=rate,
        requests=len(answers),
        rps=float(right.sum()) / seconds,
        failed=int((~right).sum()),
        p50=p50,
        p99=p99,
        cpu_milliseconds=1e3 * cpu_seconds / len(answers),
        late_p99=float(np.percentile(1e3 * (answers["sent"] - answers["due"]), 99)),
    )


def fastest(measure: Callable[[float], Step], bound: float, first: float, known: Sequence[Step] = ()) -> list[Step]:
    """Step from rate to rate until the highest that meets the bound is known to 8 %; all steps, those known included.

    A step that misses is tried once more, and the better one counts: a machine has its moments.

    Args:
        measure: a step at a rate.
        bound: milliseconds of the p99.
        first: a rate to begin with.
        known: steps that were measured before, of the same server.
    """
    steps = list(known)
    while (rate := _next(steps, bound, first)) is not None:
        step = measure(rate)
        steps.append(step)
        if not step.meets(bound):
            steps.append(measure(rate))
    return steps


def best(steps: Sequence[Step], bound: float) -> Step | None:
    """The step of the highest rate that meets the bound; None where none does."""
    return max((step for step in steps if step.meets(bound)), key=lambda step: step.rate, default=None)


def _next(steps: Sequence[Step], bound: float, first: float) -> float | None:
    """The rate to measure next; None where there is nothing more to find out."""
    met = best(steps, bound)
    missed = [step.rate for step in steps if not step.meets(bound) and (met is None or step.rate > met.rate)]
    if met is None:
        lower = min(missed) / 2 if missed else first
        return lower if lower >= _LEAST * first else None
    if not missed:
        return first if met.rate < first else met.rate * _UP
    return None if min(missed) / met.rate <= _FINE else float(np.sqrt(met.rate * min(missed)))
