"""The command `hearth` in processes of its own, with a home of its own and nothing of the user's."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from feature_store.registry import Registry
from feature_store.signing import SigningKey, TrustedKeys

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds; a start of TensorFlow takes five on an idle machine
COMMAND = ("-m", "hearth")
NOWHERE = "http://127.0.0.1:1"


class Ended(NamedTuple):
    """How a command ended. stderr is what a terminal was sent, where it had one."""

    status: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """What it printed, which must be one JSON object and nothing else."""
        assert self.status == 0, self.stderr
        value = json.loads(self.stdout)
        assert isinstance(value, dict)
        return value

    def error(self) -> str:
        """The line that says what was wrong, which must be all there is besides notes on the way."""
        assert self.status in {1, 2}, self.stderr
        assert self.stdout == ""
        assert "Traceback" not in self.stderr
        if self.status == 2:
            return self.stderr
        (line,) = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        assert self.stderr.endswith(f"{line}\n")
        return line


class Command:
    """`hearth`, run with these folders: home for its files, and no way to the network but to this machine."""

    def __init__(self, home: Path) -> None:
        self.key = home / "signing-key.pem"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("HEARTH_", "XDG_", "PIP_"))
        } | {
            "HOME": str(home),
            "HEARTH_CACHE": str(home / "cache"),
            "HEARTH_SIGNING_KEY": str(self.key),
            "COLUMNS": "200",
            "TERM": "xterm",
            "NO_COLOR": "1",
            **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE),
        }

    def run(self, *arguments: str | Path, python: tuple[str, ...] = COMMAND, patience: float = PATIENCE) -> Ended:
        """Run it to its end, for which it has so many seconds."""
        with self.started(*arguments, python=python) as process:
            stdout, stderr = process.communicate(timeout=patience)
        return Ended(process.returncode, stdout.decode(), stderr.decode())

    def run_watched(self, *arguments: str | Path) -> Ended:
        """Run it to its end with a terminal for its stderr, as for a person who watches while a program reads."""
        terminal, its_end = pty.openpty()
        with self.started(*arguments, stderr=its_end) as process:
            os.close(its_end)
            shown: list[bytes] = []
            watch = threading.Thread(target=lambda: shown.extend(iter(lambda: _read(terminal), b"")))
            watch.start()
            stdout, _ = process.communicate(timeout=PATIENCE)
            watch.join()
        os.close(terminal)
        return Ended(process.returncode, stdout.decode(), b"".join(shown).decode())

    @contextmanager
    def server(self, kind: str = "") -> Iterator[Callable[..., Ended]]:
        """As `run` for many commands, faster; see `command_server`. Of the kind "trains" also those that train."""
        with subprocess.Popen(
            [sys.executable, "-m", "tests.hearth.command_server", kind],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as program:
            commands, answers = program.stdin, program.stdout
            assert commands is not None
            assert answers is not None

            def run(*arguments: str | Path, python: tuple[str, ...] = ()) -> Ended:
                commands.write(json.dumps([python, list(map(str, arguments))]) + "\n")
                commands.flush()
                return Ended(*json.loads(answers.readline()))

            yield run
            commands.close()
            assert program.wait(PATIENCE) == 0

    @contextmanager
    def started(
        self, *arguments: str | Path, python: tuple[str, ...] = COMMAND, stderr: Any = subprocess.PIPE
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """It, running in a group of processes of its own; whoever of them still runs at the block's end is killed."""
        with subprocess.Popen(
            [sys.executable, *python, *map(str, arguments)],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def registry(self, folder: Path) -> Registry:
        """A registry, read with the key of this home."""
        return Registry(folder, TrustedKeys([SigningKey.load(self.key).public]))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # on Linux the end of a terminal is an error
        return b""
