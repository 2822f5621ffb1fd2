"""Servers in processes of their own that are forked from one which has imported all that a server needs.

A start of `python -m serving` spends more than a second on imports, and the tests have hundreds of them. As a program
this module reads one request a line (JSON) and answers each with one line: a server that is to be started gives its
process id, and a process id how that process ended, null as long as it has not.
"""

import atexit
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any, Self

import serving.server  # noqa: F401 - imported once for all servers
from serving.__main__ import main

ROOT = Path(__file__).parents[2]
_LOOK_SECONDS = 0.005


class ForkedServer:
    """A server's process, to be dealt with as a `subprocess.Popen`."""

    def __init__(self, config: Path, log: Path, open_files: int | None) -> None:
        self.returncode: int | None = None
        log.write_bytes(b"")
        self.pid = int(_answer([str(config), str(log), open_files, dict(os.environ)]))

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _answer(self.pid)  # until then nobody else can get that process id
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired("serving", timeout or 0.0)
            time.sleep(_LOOK_SECONDS)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()


class _Forks:
    """The program, running."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._program = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.serving.forked_servers"],
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # who forks has one thread
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._end)

    def answer(self, request: object) -> Any:
        asked, answers = self._program.stdin, self._program.stdout
        assert asked is not None
        assert answers is not None
        with self._lock:
            asked.write(json.dumps(request) + "\n")
            asked.flush()
            return json.loads(answers.readline())

    def _end(self) -> None:
        self._program.communicate()


@cache
def _forks() -> _Forks:
    return _Forks()


def _answer(request: object) -> Any:
    return _forks().answer(request)


def _started(config: str, log: str, open_files: int | None, environment: dict[str, str]) -> int:
    process = os.fork()
    if process:
        return process
    if open_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    os.environ.clear()
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_RDWR)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number, file in enumerate((nowhere, nowhere, written)):
        os.dup2(file, number)
    os.closerange(3, max(nowhere, written) + 1)
    sys.exit(main([config]))


def _status(process: int) -> int | None:
    ended, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(_status(asked) if isinstance(asked, int) else _started(*asked)) + "\n")
        sys.stdout.flush()
