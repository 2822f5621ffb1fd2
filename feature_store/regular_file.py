"""Files of a registry, as a reader that runs for months may open them: regular, and no larger than they should be."""

import errno
import os
import stat
from pathlib import Path

from feature_store.errors import CorruptCheckpoint


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file, or of one that a link leads to.

    Raises:
        FileNotFoundError: there is none.
        CorruptCheckpoint: it is a folder, a FIFO, a device or a socket, or larger than that.
    """
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to would never return.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket cannot be opened at all
            raise CorruptCheckpoint(f"{path} is not a regular file") from error
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise CorruptCheckpoint(f"{path} is not a regular file")
        if found.st_size > most_bytes:
            raise CorruptCheckpoint(f"{path} has {found.st_size} bytes; it should have at most {most_bytes}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(found.st_size)
    finally:
        os.close(descriptor)
