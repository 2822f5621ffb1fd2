"""Peers of the serving benchmark: servers in processes of their own, which say by a file where they listen."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.process_memory import tree_of
from benchmarks.served import ServerFailed

_PATIENCE = 120.0  # seconds; TensorFlow and an index of a million items take some
_LOOK = 0.05


class Peer(NamedTuple):
    """A running server."""

    address: str
    pid: int


@contextmanager
def peer(module: str, arguments: list[str], folder: Path) -> Iterator[Peer]:
    """`python -m module arguments file`, once it has written its address into that file; gone after the block.

    Raises:
        ServerFailed: it ends, or says nothing.
    """
    at, log = folder / f"address-{time.monotonic_ns()}", folder / f"peer-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", module, *arguments, str(at)]
    with (
        log.open("wb") as written,
        subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT) as process,  # noqa: S603 - a program of ours
    ):
        try:
            deadline = time.monotonic() + _PATIENCE
            while not at.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ServerFailed(f"{module} does not listen: {log.read_text()[-2000:]}")
                time.sleep(_LOOK)
            yield Peer(at.read_text(), process.pid)
        finally:
            process.kill()


def tell_address(bound: socket.socket, file: Path) -> None:
    """Write where that socket listens, at once and whole."""
    host, port = bound.getsockname()[:2]
    draft = file.with_suffix(".draft")
    draft.write_text(f"http://{host}:{port}")
    draft.replace(file)


def cpu_seconds(pid: int) -> float:
    """What a process and its descendants, ended ones too, have computed so far, all threads; 0 without a /proc."""
    return sum(_cpu_seconds(one) for one in tree_of(pid))


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
