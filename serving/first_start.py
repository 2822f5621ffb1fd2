"""The first start: on a machine's first, a server compiles for a while before it listens. Nobody is to wonder."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SOON_SECONDS = 4.0  # three times what importing takes where it was compiled before

_LOG = logging.getLogger("serving.server")


def _say_why() -> None:
    reason = "a machine's first start compiles for some 20 seconds; what was compiled is kept"
    _LOG.info("still starting", extra={"fields": {"reason": reason}})


@contextmanager
def said_why(seconds: float = SOON_SECONDS) -> Iterator[None]:
    """Say why it may take long, where the block does, in which a server's modules are imported."""
    timer = threading.Timer(seconds, _say_why)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
