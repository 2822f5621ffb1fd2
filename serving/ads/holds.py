"""Holds: shows that count for a frequency cap, though nobody has said yet that they were seen.

A show is counted before the reply goes out, or two replies at once would both count on the last one. Where no event
says in time that the ad was seen, the show is taken back. Who was to see it is known here alone, until then; where a
server dies, its holds stay until the window of the cap has passed: a person sees an ad less often then, never more.
"""

import hashlib
import heapq
import itertools
import logging
from dataclasses import dataclass, field

from feature_store.ad_counters import Cap
from feature_store.errors import StoreError
from serving.ads.books import Books

_LOG = logging.getLogger("serving.ads")


@dataclass(frozen=True, slots=True)
class Hold:
    """One show that counts until somebody says otherwise."""

    person: str = field(repr=False)
    cap: Cap
    recommendation_id: str = field(repr=False)


def impression_id(recommendation_id: str, ad: str) -> str:
    """What the counters know the ad of that reply by; of any length that an id may have, and made from nobody's id."""
    return hashlib.sha256(f"{recommendation_id} {ad}".encode()).hexdigest()


class Holds:
    """Those that are not settled, by when they end."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Hold]] = []
        self._numbers = itertools.count()  # of equal times the earlier first; holds do not compare

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, hold: Hold, ends: float) -> None:
        """Keep it until then, in seconds of the clock that `take_back` is told."""
        heapq.heappush(self._waiting, (ends, next(self._numbers), hold))

    async def take_back(self, books: Books, now: float) -> int:
        """End those whose time has come, and say how many shows were taken back; what fails is tried again later.

        Raises `StoreError`.
        """
        taken = 0
        while self._waiting and self._waiting[0][0] <= now:
            ends, number, hold = heapq.heappop(self._waiting)
            try:
                if await books.ledger.withdraw(hold.recommendation_id, hold.cap.ad):
                    shown = impression_id(hold.recommendation_id, hold.cap.ad)
                    taken += await books.counters.take_back_show(hold.person, hold.cap.ad, shown)
            except (StoreError, TimeoutError):
                heapq.heappush(self._waiting, (ends, number, hold))
                raise
        return taken
