"""A child process of a federation: what it is, and one that runs.

Each leads a process group of its own, so that whatever it starts ends with it, and carries the federation's folder in
its environment, by which processes that were left over are found.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MARK = "HEARTH_FEDERATION"
"""The environment variable of every process of a federation: its folder."""

_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One process to keep running.

    name: unique in the federation; also of its log.
    arguments: the command.
    environment: beside what all processes have.
    is_ready: whether it does its work, asked after it was started.
    umask: of the files that it makes; -1 is that of whoever starts it.
    most_ends: how often in a row it may end while a federation starts.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], bool] = lambda: True
    umask: int = -1
    most_ends: int = 3


def start(spec: ChildSpec, log: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """The process, writing to the end of that log."""
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - a command that we put together
            spec.arguments,
            env={**environment, **spec.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=spec.umask,
        )


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child and all that it has started; nothing where they are gone."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def wait_for_group(pid: int, seconds: float) -> None:
    """Wait, so long at the most, until a child that was waited for and all that it has started are gone.

    A signal is sent before it is felt, and whoever was started by a child is nobody's here to wait for.
    """
    until = time.monotonic() + seconds
    with suppress(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(pid, 0)
            time.sleep(_LOOK_SECONDS)


def processes_of(folder: Path) -> list[int]:
    """Every process of this user that carries the mark of that folder, this one apart; of Linux, by /proc."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or somebody else's
            if int(entry.name) != os.getpid() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return sorted(found)
