"""The memory of a child process and of all that it starts, sampled while it runs."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

_FIRST, _PERIOD = 0.01, 0.1  # seconds between two samples, soon and later: a peak shorter than that may be missed


def run_watched(command: Sequence[str], environment: Mapping[str, str], limit: float) -> tuple[str, float]:
    """Run a command to its end.

    Args:
        command: what to run.
        environment: all of its environment variables.
        limit: seconds after which it is ended.

    Returns:
        What it printed on stdout; and the most memory (10^6 bytes) that it and its descendants held together, with
        what they share counted once (proportional set size of Linux; 0 where there is no /proc).

    Raises:
        subprocess.CalledProcessError: it did not end with status 0; the error has what it printed on stderr.
        subprocess.TimeoutExpired: it ran longer than `limit`.
    """
    peak, period, started = 0.0, _FIRST, time.monotonic()
    with subprocess.Popen(  # noqa: S603 - the command is a benchmark's own
        command,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            while True:
                try:
                    stdout, stderr = process.communicate(timeout=period)
                    break
                except subprocess.TimeoutExpired:
                    peak, period = max(peak, tree_megabytes(process.pid)), min(1.5 * period, _PERIOD)
                    if time.monotonic() - started > limit:
                        raise
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # and what it has started
            raise
    if process.returncode:
        sys.stderr.write(stderr)
        raise subprocess.CalledProcessError(process.returncode, command, stdout, stderr)
    return stdout, peak


def tree_megabytes(root: int, proc: Path = Path("/proc")) -> float:
    """Memory of a process and its descendants now, in 10^6 bytes; 0 for a process that is gone."""
    total = 0.0
    for process in tree_of(root, proc):
        for line in _read(proc / str(process) / "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024 / 1e6
    return total


def tree_of(root: int, proc: Path = Path("/proc")) -> list[int]:
    """A process, and its descendants now."""
    children = defaultdict(list)
    for status in proc.glob("[0-9]*/stat"):
        text = _read(status)
        if text:
            parent = int(text.rpartition(")")[2].split()[1])
            children[parent].append(int(status.parent.name))
    found = [root]
    for process in found:
        found += children[process]
    return found


def _read(path: Path) -> str:
    """A file of /proc, or nothing where its process has just ended or is not ours."""
    try:
        return path.read_text()
    except OSError:
        return ""
