"""A child process of a federation: what it is, and one that runs.

Each leads a process group of its own, so that whatever it starts ends with it, and carries the federation's folder in
its environment, by which processes that were left over are found.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MARK = "HEARTH_FEDERATION"
"""The environment variable of every process of a federation: its folder."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One process to keep running.

    name: unique in the federation; also of its log.
    arguments: the command.
    environment: beside what all processes have.
    is_ready: whether it does its work, asked after it was started.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], bool] = lambda: True


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
        )


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child and all that it has started; nothing where they are gone."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def processes_of(folder: Path) -> list[int]:
    """Every process of this user that carries the mark of that folder, this one apart; of Linux, by /proc."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or somebody else's
            if int(entry.name) != os.getpid() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return sorted(found)
