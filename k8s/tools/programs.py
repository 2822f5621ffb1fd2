"""The programs of the tool environment, and what they said."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BIN = Path(sys.executable).parent


class ToolFailed(Exception):
    """A program could not do its work: it found nothing, as it did not look."""


def said(program: str, *arguments: str, may_find: Sequence[int] = ()) -> str:
    """What a program of this environment writes to stdout, run at the root of the checkout.

    may_find: exit codes with which it says that it has found something, beside 0.

    Raises:
        ToolFailed: it ended otherwise; its stderr is quoted.
    """
    # nobody is called up: neither for rules, nor for a newer version
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "LOG_LEVEL": "ERROR"}
    command = [str(_BIN / program), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)  # noqa: S603 - ours
    if done.returncode not in {0, *may_find}:
        raise ToolFailed(f"{program} {' '.join(arguments)}: ended with {done.returncode}: {done.stderr[-3000:]}")
    return done.stdout
