"""How often a key may ask: a token bucket for its rate, and a quota for its day.

Each server counts for itself, in memory: of two replicas each lets through what a key is allowed, and a restart begins
anew. What has to hold for all of them together stands in front of them. The workers of one server tell each other what
they let through, so a key has its rate and quota once: what comes to several within the same moment may be more, and is
paid back.
"""

import time
from collections.abc import Callable
from math import ceil
from typing import Literal, NamedTuple

from serving.access.keys import Caller

_DAY = 86_400  # seconds; days begin at midnight, UTC


class Bucket(NamedTuple):
    """Tokens that were left at a time: each request takes one, and they come back at the rate, up to the burst.

    A batch may leave fewer than none.
    """

    tokens: float
    at: float

    def later(self, rate: float, burst: float, now: float) -> "Bucket":
        """The same bucket at another time, in seconds; a clock that goes back brings nothing."""
        return Bucket(min(burst, self.tokens + rate * max(0.0, now - self.at)), now)


class Beyond(NamedTuple):
    """A request is beyond what its key is allowed.

    seconds: until there is room for one, at least 1.
    """

    limit: Literal["rate", "quota"]
    seconds: int


class Taken(NamedTuple):
    """Requests of one key that were let through.

    rate, burst: of the key; None where it has no rate.
    """

    name: str
    number: int
    rate: float | None
    burst: int | None


class Allowances:
    """What is left of each key's rate and quota.

    steady: seconds that never go back. clock: seconds since 1970, for what day it is.
    tell: called with all that is taken.
    """

    def __init__(
        self,
        steady: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
        tell: Callable[["Taken"], None] = lambda _: None,
    ) -> None:
        self._steady, self._clock, self._tell = steady, clock, tell
        self._buckets: dict[str, Bucket] = {}
        self._asked: dict[str, tuple[int, int]] = {}  # the day, and how often since it began

    def take(self, caller: Caller) -> Beyond | None:
        """Take one request from what the caller has left; None where there was one. A refused request takes nothing."""
        key, now = caller.key, self._clock()
        today = int(now // _DAY)
        day, asked = self._asked.get(caller.name, (today, 0))
        if day != today:
            asked = 0
        if key.per_day is not None and asked >= key.per_day:
            return Beyond("quota", ceil((today + 1) * _DAY - now) or 1)
        if key.per_second is not None:
            bucket = self._bucket(caller.name, key.per_second, key.burst or max(1, ceil(key.per_second)))
            if bucket.tokens < 1.0:
                return Beyond("rate", ceil((1.0 - bucket.tokens) / key.per_second))
            self._buckets[caller.name] = Bucket(bucket.tokens - 1.0, bucket.at)
        if key.per_day is not None:
            self._asked[caller.name] = today, asked + 1
        self._told(caller, 1)
        return None

    def take_more(self, caller: Caller, number: int) -> Beyond | None:
        """Take so many further requests, the entries of a batch that was let in; None, or the quota that is too small.

        The rate lets it in, however large, and is paid back: the bucket owes then, and nobody passes until it has one.
        """
        key, now = caller.key, self._clock()
        today = int(now // _DAY)
        day, asked = self._asked.get(caller.name, (today, 0))
        if day != today:
            asked = 0
        if key.per_day is not None:
            if asked + number > key.per_day:
                return Beyond("quota", ceil((today + 1) * _DAY - now) or 1)
            self._asked[caller.name] = today, asked + number
        if key.per_second is not None:
            bucket = self._bucket(caller.name, key.per_second, key.burst or max(1, ceil(key.per_second)))
            self._buckets[caller.name] = Bucket(bucket.tokens - number, bucket.at)
        self._told(caller, number)
        return None

    def hear(self, taken: Taken) -> None:
        """Count what another process of this server has let through; the bucket may owe then."""
        today = int(self._clock() // _DAY)
        day, asked = self._asked.get(taken.name, (today, 0))
        self._asked[taken.name] = today, (asked if day == today else 0) + taken.number
        if taken.rate is not None and taken.burst is not None:
            bucket = self._bucket(taken.name, taken.rate, taken.burst)
            self._buckets[taken.name] = Bucket(bucket.tokens - taken.number, bucket.at)

    def _told(self, caller: Caller, number: int) -> None:
        key = caller.key
        if key.per_second is None and key.per_day is None:
            return
        burst = None if key.per_second is None else key.burst or max(1, ceil(key.per_second))
        self._tell(Taken(caller.name, number, key.per_second, burst))

    def _bucket(self, name: str, rate: float, burst: int) -> Bucket:
        now = self._steady()
        before = self._buckets.get(name)
        return Bucket(float(burst), now) if before is None else before.later(rate, burst, now)
