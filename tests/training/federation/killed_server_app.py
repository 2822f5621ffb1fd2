"""A ServerApp that is killed: by itself, right before it renames a file whose path matches a pattern.

python -m tests.training.federation.killed_server_app FOLDER REQUEST PATTERN
"""

import os
import re
import signal
import sys
from pathlib import Path

from tests.training.federation.retraining_world import retraining_world
from training.federation.server_app import answer

if __name__ == "__main__":
    folder, name, pattern = Path(sys.argv[1]), sys.argv[2], re.compile(sys.argv[3])

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and pattern.search(str(arguments[0])):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)
    answer(retraining_world(folder).grid(), folder / "centre", name)
