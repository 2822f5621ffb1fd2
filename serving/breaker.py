"""A circuit breaker: what has failed several times in a row is left alone for a while, and then asked once.

Whoever would only wait for a store that is away is told so at once, and a store that comes back is not met by
everybody (Nygard, Release It!, 2nd ed. 2018, section 5.2).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from feature_store.errors import StoreError, StoreUnavailable

FAILURES = 5
PAUSE_SECONDS = 0.25


class Breaker:
    """The breaker around one way to use something. Closed, it lets everybody through; open, nobody but a probe.

    failures: in a row, after which it opens.
    pause_seconds: from its opening, or from a probe that failed, to the next probe.
    clock: in seconds, from anywhere.
    """

    def __init__(
        self,
        failures: int = FAILURES,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures, self._pause_seconds, self._clock = failures, pause_seconds, clock
        self._in_a_row = 0
        self._probe_at = 0.0  # while it is open: the earliest time of a probe
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether attempts fail without being made."""
        return self._in_a_row >= self._failures

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Hold this around one attempt.

        `StoreUnavailable` and `TimeoutError` in it are failures. Any other `StoreError` is an answer, of a store that
        is there; anything else, such as being cancelled, says nothing.

        Raises:
            StoreUnavailable: it is open, and this is not the time of a probe.
        """
        probing = self.is_open
        if probing:
            if self._is_probing or self._clock() < self._probe_at:
                raise StoreUnavailable(f"the store has failed {self._in_a_row} times in a row, and is left alone")
            self._is_probing = True
        try:
            yield
        except (StoreUnavailable, TimeoutError):
            self._failed(probing=probing)
            raise
        except StoreError:
            self._in_a_row = 0
            raise
        else:
            self._in_a_row = 0
        finally:
            if probing:
                self._is_probing = False

    def _failed(self, *, probing: bool) -> None:
        if probing or not self.is_open:  # who began before it opened, and fails after, makes the pause no longer
            self._in_a_row += 1
            self._probe_at = self._clock() + self._pause_seconds
