"""One run at a time: a cell knows one, so that a second would take the cells away from the first.

The ServerApp holds the lock before it sends the first message, and until its run is over. It is the operating system's:
it is let go when the process dies, however it dies.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from feature_store.durable import exclusive
from training.federation.errors import AnotherRun

_LOCK = "run.lock"
_LOOK_SECONDS = 0.5


@contextmanager
def only_run(centre: Path) -> Iterator[None]:
    """Be the only run of the federation whose requests lie in that folder.

    Raises:
        AnotherRun: there is one.
    """
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(centre / _LOCK, wait=False))
        except BlockingIOError as error:
            raise AnotherRun(
                f"another run of the federation of {centre} is under way, and a cell takes part in one: wait for it"
            ) from error
        yield


def is_over(centre: Path, seconds: float = 0.0) -> bool:
    """Whether no run of that federation is under way, or none is any more after so long."""
    until = time.monotonic() + seconds
    while True:
        try:
            with only_run(centre):
                return True
        except FileNotFoundError:  # nobody has asked for a run yet
            return True
        except AnotherRun:
            if time.monotonic() > until:
                return False
        time.sleep(min(_LOOK_SECONDS, max(0.0, until - time.monotonic())))
