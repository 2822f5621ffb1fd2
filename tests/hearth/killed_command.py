"""The command `hearth`, sent a signal by itself right before the n-th file operation whose path matches a pattern.

    python -m tests.hearth.killed_command SIGNAL N EVENT PATTERN ARGUMENT...

SIGNAL is a name such as SIGKILL, N counts from 1, and EVENT is a name of Python's audit events, such as `os.rename`.
"""

import os
import re
import signal
import sys
from collections.abc import Sequence

from hearth.cli import main

PROGRAM = ("-m", "tests.hearth.killed_command")


def killed_before(event: str, pattern: str, *, name: str = "SIGKILL", time: int = 1) -> tuple[str, ...]:
    """What Python runs to have the command so interrupted, before the command's arguments."""
    return (*PROGRAM, name, str(time), event, pattern)


def interrupt_as(python: Sequence[str]) -> None:
    """Have this process interrupted as that, which `killed_before` gave, says."""
    name, time, event, pattern = python[len(PROGRAM) :]
    _kill_before(signal.Signals[name], int(time), event, pattern)


def _kill_before(number: signal.Signals, time: int, event: str, pattern: str) -> None:
    seen = 0

    def hear(heard: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if heard == event and re.search(pattern, str(arguments[0])):
            seen += 1
            if seen == time:
                os.kill(os.getpid(), number)

    sys.addaudithook(hear)


if __name__ == "__main__":
    interrupt_as([*PROGRAM, *sys.argv[1:5]])
    sys.argv[:5] = ["hearth"]
    main()
