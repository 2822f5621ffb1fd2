"""The first start: on a machine's first, a server compiles for a while before it listens. Nobody is to wonder."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SOON_SECONDS = 4.0  # in which a server that finds what was compiled has begun to read its model, on most machines

_LOG = logging.getLogger("serving.server")


def say_why() -> None:
    """Say why a start that has not come far yet may take long."""
    reason = "a machine's first start compiles for some 20 seconds; what was compiled is kept"
    _LOG.info("still starting", extra={"fields": {"reason": reason}})


@contextmanager
def said_why(seconds: float = SOON_SECONDS) -> Iterator[None]:
    """Say it where the block takes longer than that."""
    timer = threading.Timer(seconds, say_why)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
