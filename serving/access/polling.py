"""Since when what an event loop reads may have been waiting in the kernel: requests queue there too.

A loop that computes does not look for what has come meanwhile. What it finds when it looks again came at the earliest
when it had looked last.
"""

import selectors
import time
from typing import Any

_WAITED = 0.001  # seconds; one that looked for so long had found nothing when it began


class PolledSelector(selectors.DefaultSelector):
    """The selector of an event loop, and when it looked.

    unread_since: what was found by the last look came at that time at the earliest, in seconds of `time.monotonic`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unread_since = self._looked = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        """Look, or wait until there is something."""
        began = time.monotonic()
        found = super().select(timeout)
        now = time.monotonic()
        self.unread_since = now if now - began > _WAITED else self._looked
        self._looked = now
        return found
