"""Holds: shows that count for a frequency cap, though nobody has said yet that they were seen.

A show is counted before the reply goes out, or two replies at once would both count on the last one. Where no event
says in time that the ad was seen, the show is taken back. Who was to see it is known here alone, until then; where a
server dies, its holds stay until the window of the cap has passed: a person sees an ad less often then, never more.
"""

import hashlib
import heapq
import itertools
from dataclasses import dataclass, field

from feature_store.ad_counters import Cap, OneShow
from serving.ads.books import Books

_AT_ONCE = 256  # shows that one step takes back: a transaction for each would be slower than shows are made


@dataclass(frozen=True, slots=True)
class Hold:
    """One show that counts until somebody says otherwise."""

    person: str = field(repr=False)
    cap: Cap
    recommendation_id: str = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """Reply and ad."""
        return self.recommendation_id, self.cap.ad


def impression_id(recommendation_id: str, ad: str) -> str:
    """What the counters know the ad of that reply by; of any length that an id may have, and made from nobody's id."""
    return hashlib.sha256(f"{recommendation_id} {ad}".encode()).hexdigest()


class Holds:
    """Those that are not settled, by when they end."""

    def __init__(self) -> None:
        self._unsettled: set[tuple[str, str]] = set()  # keys
        self._waiting: list[tuple[float, int, Hold]] = []  # those that are confirmed among them
        self._numbers = itertools.count()  # of equal times the earlier first; holds do not compare

    def __len__(self) -> int:
        return len(self._unsettled)

    def add(self, hold: Hold, ends: float) -> None:
        """Keep it until then, in seconds of the clock that `take_back` is told."""
        self._unsettled.add(hold.key)
        heapq.heappush(self._waiting, (ends, next(self._numbers), hold))

    def confirm(self, recommendation_id: str, ad: str) -> None:
        """Somebody has said that the ad was seen: it is no hold any more."""
        self._unsettled.discard((recommendation_id, ad))

    async def take_back(self, books: Books, now: float) -> int:
        """End those whose time has come, and say how many shows were taken back.

        What fails, or is broken off, is tried again later. Raises `StoreError`.
        """
        taken = 0
        while due := self._due(now):
            holds = [hold for _, _, hold in due]
            try:
                withdrawn = await books.ledger.withdraw([hold.key for hold in holds])
                shows = [
                    OneShow(hold.person, hold.cap.ad, impression_id(*hold.key))
                    for hold, is_withdrawn in zip(holds, withdrawn, strict=True)
                    if is_withdrawn
                ]
                if shows:
                    taken += sum(await books.counters.take_back_shows(shows))
                self._unsettled.difference_update(hold.key for hold in holds)
                due = []
            finally:
                for waiting in due:
                    heapq.heappush(self._waiting, waiting)
        return taken

    def _due(self, now: float) -> list[tuple[float, int, Hold]]:
        """Some of those whose time has come, which wait no more."""
        due: list[tuple[float, int, Hold]] = []
        while self._waiting and self._waiting[0][0] <= now and len(due) < _AT_ONCE:
            waiting = heapq.heappop(self._waiting)
            if waiting[2].key in self._unsettled:
                due.append(waiting)
        return due
