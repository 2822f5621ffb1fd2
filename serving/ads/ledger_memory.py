"""The ledger in memory: for tests, and for one server that may forget."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from feature_store.stores import Clock
from serving.ads.ledger import KEPT_SECONDS, Counts, Offer, Seen


@dataclass(slots=True)
class _Kept:
    offer: Offer
    until: float
    seen: bool = False
    clicked: bool = False
    withdrawn: bool = False


class InMemoryLedger:
    """A dictionary. No method awaits anything within, so each is whole."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], _Kept] = {}  # in the order in which they go
        self._shows: Counter[str] = Counter()
        self._clicks: Counter[str] = Counter()

    async def offer(self, recommendation_id: str, offers: Sequence[Offer]) -> None:
        """See `Ledger.offer`."""
        now = self._clock()
        for key in list(self._kept):
            if self._kept[key].until > now:
                break
            del self._kept[key]
        for offer in offers:
            self._kept[recommendation_id, offer.ad] = _Kept(offer, now + KEPT_SECONDS)

    async def see(self, recommendation_id: str, ad: str) -> Seen:
        """See `Ledger.see`."""
        kept = self._found(recommendation_id, ad)
        return "unknown" if kept is None else self._see(kept)

    async def click(self, recommendation_id: str, ad: str) -> Offer | None:
        """See `Ledger.click`."""
        kept = self._found(recommendation_id, ad)
        if kept is None:
            return None
        self._see(kept)
        if not kept.clicked:
            kept.clicked = True
            self._clicks[ad] += 1
        return kept.offer

    async def refuse(self, recommendation_id: str, offer: Offer) -> None:
        """See `Ledger.refuse`."""
        if (kept := self._found(recommendation_id, offer.ad)) is not None:
            kept.offer = offer.refused()

    async def offered(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        """See `Ledger.offered`."""
        return [self._found(*show) is not None for show in shows]

    async def withdraw(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        """See `Ledger.withdraw`."""
        return [self._withdraw(recommendation_id, ad) for recommendation_id, ad in shows]

    def _withdraw(self, recommendation_id: str, ad: str) -> bool:
        kept = self._found(recommendation_id, ad)
        if kept is None or kept.seen:
            return kept is None
        kept.withdrawn = True
        return True

    async def counts(self, ads: Sequence[str]) -> list[Counts]:
        """See `Ledger.counts`."""
        return [Counts(self._shows[ad], self._clicks[ad]) for ad in ads]

    def _found(self, recommendation_id: str, ad: str) -> _Kept | None:
        kept = self._kept.get((recommendation_id, ad))
        return None if kept is None or kept.until <= self._clock() else kept

    def _see(self, kept: _Kept) -> Seen:
        if kept.seen:
            return "known"
        kept.seen = True
        self._shows[kept.offer.ad] += 1
        return "late" if kept.withdrawn else "new"
