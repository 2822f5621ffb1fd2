"""Where, when and by which command a measurement was made; every benchmark prints it beside its figures."""

import os
import platform
import resource
import shlex
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

_MATRIX, _REPETITIONS = 1024, 10


def provenance() -> dict[str, str | int]:
    """Machine, date, command and the versions that figures depend on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "tensorflow": version("tensorflow"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def peak_memory_megabytes() -> float:
    """The most memory that this process has held so far (resident set size, 10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def matrix_rate() -> float:
    """Operations a second of a float32 matrix product with all cores that BLAS takes, the best of several."""
    matrix = np.random.default_rng(0).standard_normal((_MATRIX, _MATRIX), np.float32)
    seconds = []
    for _ in range(_REPETITIONS):
        started = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - started)
    return 2 * _MATRIX**3 / min(seconds)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
