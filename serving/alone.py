"""One process at a time: what is done for all processes of a machine, each of them could do, and one is enough for."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_SECONDS = 0.1


@contextmanager
def alone_in(folder: Path, between: Callable[[], None]) -> Iterator[None]:
    """Be the only one in such a block of that folder. It ends with the process, however that ends.

    between: called again and again while somebody else is in it; what it raises ends the wait.

    Raises:
        OSError: the folder cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        while not _taken(lock):
            between()
            time.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the work is done more than once there
        return True
    return True
