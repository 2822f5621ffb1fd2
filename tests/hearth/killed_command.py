"""The command `hearth`, killed by SIGKILL right before the first file operation whose path matches a pattern.

    python -m tests.hearth.killed_command EVENT PATTERN ARGUMENT...

EVENT is a name of Python's audit events, such as `os.rename`.
"""

import os
import re
import signal
import sys

from hearth.cli import main


def kill_before(event: str, pattern: str) -> None:
    def hear(heard: str, arguments: tuple[object, ...]) -> None:
        if heard == event and re.search(pattern, str(arguments[0])):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)


if __name__ == "__main__":
    kill_before(sys.argv[1], sys.argv[2])
    sys.argv[:3] = ["hearth"]
    main()
