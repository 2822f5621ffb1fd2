"""Shares: work on clients or on items of very different lengths, shared out to threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from feature_store.arrays import Float32Array, Int64Array


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_out(
    threads: ThreadPoolExecutor,
    work: Callable[[int, int, Float32Array], None],
    offsets: Int64Array,
    share: int,
    shape: tuple[int, ...],
) -> None:
    """Do the work of all clients or items, in shares of about so many entries; whichever thread is free takes the next.

    work: is given where a share begins and ends, and memory of the shape asked for that the thread uses again.
    """
    marks = np.arange(share, offsets[-1], share)
    cuts = np.unique([0, *np.searchsorted(offsets, marks), len(offsets) - 1]).tolist()
    waiting = iter(list(pairwise(cuts)))

    def take_on(_: int) -> None:
        memory = np.empty(shape, np.float32)
        for first, last in waiting:
            work(first, last, memory)

    for _ in threads.map(take_on, range(min(cores(), len(cuts) - 1))):  # raises here what a thread has raised
        pass
