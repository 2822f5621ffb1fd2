"""A program that runs the command `hearth` many times, each in a process of its own, forked to save its imports.

It reads one command a line (JSON): [[what `killed_before` gives, or nothing], arguments], and says how the command
ended (JSON): [status, stdout, stderr]. Called with the word "trains" it has loaded TensorFlow before the first.
"""

import importlib
import json
import os
import sys
import tempfile
from typing import IO

import training.checkpoint_quality  # noqa: F401 - as the three above, imported once for all commands
from hearth.cli import main
from tests.hearth.killed_command import interrupt_as


def run(interrupt: list[str], arguments: list[str]) -> list[object]:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = os.fork()
        if process == 0:
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            if interrupt:
                interrupt_as(interrupt)
            sys.argv = ["hearth", *arguments]
            main()
            sys.exit(0)
        _, status = os.waitpid(process, 0)
        return [os.waitstatus_to_exitcode(status), _content(stdout), _content(stderr)]


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


if __name__ == "__main__":
    if sys.argv[1:] == ["trains"]:
        for name in ("hearth.report.writing", "hearth.training_session"):
            importlib.import_module(name)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(*json.loads(line))) + "\n")
        sys.stdout.flush()
