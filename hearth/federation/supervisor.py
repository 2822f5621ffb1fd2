"""The supervisor: keeps child processes running, starts one again a bounded number of times, and ends them all.

It is told of the end by an event. Whatever ends it, an error included, its children end first.
"""

import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from feature_store.durable import replace
from hearth.federation.child import ChildSpec, signal_group, start, wait_for_group
from training.federation.errors import FederationError

_LOG = logging.getLogger("hearth.federation")
_LOOK_SECONDS = 0.2
_LONGEST_PAUSE = 30.0
_LONG_SECONDS = 600.0  # a child that has run for as long did well
_KILLED_SECONDS = 5.0  # in which who was killed is gone, on the slowest machine
_LAST_LINES = 10  # of a log, to be shown
_LAST_BYTES = 8192  # in which they are looked for


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    process: "subprocess.Popen[bytes]"
    restarts: int = 0
    in_a_row: int = 0  # of them, since it last ran for long
    since: float = 0.0  # its last start, on the monotonic clock
    due: float | None = None  # of the next start, on the monotonic clock
    status: int | None = None  # of its last end


class Supervisor:
    """Children, in the order in which they were started.

    logs: a folder, with a file for each child.
    environment: of all of them.
    status: a file that says what runs; written anew at each change.
    about: what stands in that file beside the children.
    restarts: how often in a row one child is started again before it is given up. The default lasts for minutes: a
        SuperNode that was killed is not let in again before the SuperLink has missed it for one.
    pause_seconds: before the first of those; twice as long before each further one, up to half a minute.
    end_seconds: from being asked to end, to being ended.
    """

    def __init__(
        self,
        logs: Path,
        environment: Mapping[str, str],
        status: Path,
        about: Mapping[str, Any],
        restarts: int = 10,
        pause_seconds: float = 0.5,
        end_seconds: float = 8.0,
    ) -> None:
        self._logs, self._environment, self._status, self._about = logs, environment, status, about
        self._most, self._pause, self._end = restarts, pause_seconds, end_seconds
        self._children: list[_Child] = []
        self._is_ready = False

    def start(self, spec: ChildSpec) -> None:
        """Start a child."""
        process = start(spec, self._log_of(spec), self._environment)
        self._children.append(_Child(spec, process, since=time.monotonic()))
        self.write()

    def wait_until_ready(self, names: Sequence[str], seconds: float, stop: Event) -> list[str]:
        """Keep watch until these children are ready; those that are not after so long, or when `stop` is set.

        Raises:
            FederationError: see `wait_until`.
        """
        waiting = {child.spec.name: child.spec.is_ready for child in self._children if child.spec.name in names}

        def are_ready() -> bool:
            for name in [name for name, is_ready in waiting.items() if is_ready()]:
                del waiting[name]
            return not waiting

        self.wait_until(are_ready, seconds, stop)
        return sorted(waiting)

    def wait_until(self, holds: Callable[[], bool], seconds: float, stop: Event) -> bool:
        """Keep watch until that holds; whether it does, after so long at the most, or when `stop` is set.

        Raises:
            FederationError: a child has ended as often in a row as it may; its last words are in it.
        """
        until = time.monotonic() + seconds
        while not (held := holds()) and time.monotonic() < until and not stop.wait(_LOOK_SECONDS):
            self.look()
            self._require_steady()
        return held

    def ready(self) -> None:
        """Say in the status that all is up."""
        self._is_ready = True
        self.write()

    def watch(self, stop: Event, each: Callable[[], None] = lambda: None) -> None:
        """Keep the children running until `stop` is set."""
        while not stop.wait(_LOOK_SECONDS):
            self.look()
            each()

    def look(self) -> None:
        """Start again what has ended, once its pause is over."""
        now, is_changed = time.monotonic(), False
        for child in self._children:
            if child.due is None and child.status is None and child.process.poll() is not None:
                child.status, is_changed = child.process.returncode, True
                signal_group(child.process.pid, signal.SIGKILL)  # what it has started ends with it
                if now - child.since > _LONG_SECONDS:
                    child.in_a_row = 0
                if child.in_a_row < self._most:
                    child.due = now + min(self._pause * 2**child.in_a_row, _LONGEST_PAUSE)
                _LOG.warning("%s ended with status %s", child.spec.name, child.status)
            if child.due is not None and now >= child.due:
                child.process = start(child.spec, self._log_of(child.spec), self._environment)
                child.restarts, child.in_a_row, child.since = child.restarts + 1, child.in_a_row + 1, now
                child.due, child.status, is_changed = None, None, True
        if is_changed:
            self.write()

    def end(self) -> None:
        """End all children, those started last first, and what they have started; then remove the status.

        A SuperNode says goodbye to the SuperLink, so what the centre runs ends after the cells.
        """
        first = [child for child in self._children if child.spec.name.startswith("cell-")]
        for group in (first, [child for child in self._children if child not in first]):
            _end(group, self._end)
        self._status.unlink(missing_ok=True)

    def write(self) -> None:
        """Write the status."""
        children = {
            child.spec.name: {
                "pid": child.process.pid,
                "state": "running" if child.status is None else "restarting" if child.due else "given up",
                "restarts": child.restarts,
                "log": str(self._log_of(child.spec)),
            }
            for child in self._children
        }
        whole = {**self._about, "pid": os.getpid(), "ready": self._is_ready, "processes": children}
        replace(self._status, json.dumps(whole, indent=2).encode(), mode=0o600)

    def _require_steady(self) -> None:
        """Raise as `wait_until`."""
        for child in self._children:
            ends = child.in_a_row + 1
            if child.status is not None and ends >= child.spec.most_ends:
                log = self._log_of(child.spec)
                raise FederationError(
                    f"{child.spec.name} ended {ends} times in a row, the last time with status {child.status}. The end "
                    f"of {log}:\n{_last_lines(log)}"
                )

    def _log_of(self, spec: ChildSpec) -> Path:
        return self._logs / f"{spec.name}.log"


def _last_lines(log: Path) -> str:
    """The end of a log, as text."""
    with log.open("rb") as content:
        content.seek(max(0, content.seek(0, os.SEEK_END) - _LAST_BYTES))
        return "\n".join(content.read().decode(errors="replace").splitlines()[-_LAST_LINES:])


def _end(children: Sequence[_Child], seconds: float) -> None:
    for child in reversed(children):
        signal_group(child.process.pid, signal.SIGTERM)
    until = time.monotonic() + seconds
    for child in children:
        try:
            child.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            _LOG.warning("%s did not end by itself", child.spec.name)
    for child in children:
        signal_group(child.process.pid, signal.SIGKILL)  # and whatever of its group is left
        child.process.wait()
    for child in children:
        wait_for_group(child.process.pid, _KILLED_SECONDS)
