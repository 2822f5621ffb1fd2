"""The desk: what the server does for the ads of each reply, and for each event about one.

    a reply:   market (read a moment ago) → admission → auction → line-up, each show counted first → ledger → reply
    an event:  ledger: was it in that reply, at what price? → seen, or clicked and paid for within the budget
    beside:    what is known of ads is read once a second, and shows that nobody saw are taken back

It fails closed: where the catalogue, the counters or the ledger cannot be read or written, no ads are shown.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Literal, NoReturn, TypeAlias, TypeVar

from feature_store.ad_counters import AdCounters, Budget, Cap, OneShow
from feature_store.errors import StoreError, StoreUnavailable
from feature_store.item_store import ItemStore
from serving.ads.admission import admitted
from serving.ads.auction import ranked_bids
from serving.ads.books import Books
from serving.ads.holds import Hold, Holds, impression_id
from serving.ads.known import KnownAds, Places
from serving.ads.ledger import Offer
from serving.ads.lineup import Placed
from serving.ads.reserving import reserved
from serving.ads.settings import AdsSettings
from serving.breaker import Breaker
from serving.sources.asked import Asked
from serving.tracing.spans import step

_LOG = logging.getLogger("serving.ads")
_NOBODY = "hearth-readiness"  # of whom, and of which ad, nothing is counted
_LONGEST_WAIT = 2.0  # seconds between attempts to open the books

Answer = TypeVar("Answer")
Outcome: TypeAlias = Literal["shown", "known", "paid", "over-budget", "unknown"]


class AdDesk:
    """Ads of one server.

    places: the verticals with ads, and what they can show.
    catalogues: where ads are; None where there are none, and then no ads are shown.
    timeout_seconds: for all that one reply waits for, and for each step of an event.
    look_seconds: between two looks at what is known of ads.
    stale_seconds: after which what was read is too old to show ads by; five looks, and 5 at least, where nobody says.
    is_kept: whether its books outlive the process: they may hold people then, whether or not ads are shown today.
    """

    def __init__(
        self,
        places: Places,
        catalogues: ItemStore | None,
        timeout_seconds: float,
        look_seconds: float = 1.0,
        stale_seconds: float | None = None,
        *,
        is_kept: bool = False,
    ) -> None:
        stale = 5 * max(1.0, look_seconds) if stale_seconds is None else stale_seconds
        self.known = KnownAds(places, catalogues, stale)
        self._timeout_seconds, self._look_seconds = timeout_seconds, look_seconds
        self._books: Books | None = None
        self._are_open, self._is_kept = asyncio.Event(), is_kept
        self._holds, self._breaker = Holds(), Breaker()

    @property
    def is_paused(self) -> bool:
        """Whether the books are left alone for a moment, as they have failed again and again."""
        return self._breaker.is_open

    async def run(self, opened: Callable[[], AbstractAsyncContextManager[Books]]) -> NoReturn:
        """Open the books, those in memory as soon as a placement shows ads, and keep up with them until cancelled."""
        wait = self._look_seconds
        while True:
            if self._is_kept or self.known.places.verticals():
                try:
                    async with opened() as books:
                        try:
                            await self._keep_up(books)
                        finally:  # before they close: whoever asks must not find them so
                            self._books = None
                            self._are_open.clear()
                except StoreError as error:
                    _LOG.warning("books of ads not opened", extra={"fields": {"reason": type(error).__name__}})
                    wait = min(2 * wait, max(_LONGEST_WAIT, self._look_seconds))
            await asyncio.sleep(wait)

    async def look(self, books: Books) -> None:
        """Read what ads are chosen by, and take back the shows that nobody saw in time."""
        self._books = books
        self._are_open.set()
        await self.known.look(books, max(self._timeout_seconds, self._look_seconds))
        try:
            async with asyncio.timeout(max(self._timeout_seconds, self._look_seconds)):
                await self._holds.take_back(books, time.monotonic())
        except (StoreError, TimeoutError) as error:
            _LOG.warning("shows not taken back", extra={"fields": {"reason": type(error).__name__}})

    async def choose(self, asked: Asked, settings: AdsSettings, k: int, recommendation_id: str) -> list[Placed]:
        """At most k ads, best first, each counted for the person's caps and noted in the ledger.

        Raises:
            StoreUnavailable: no ads can be shown now; nothing stays counted.
        """
        books, view = self._books, asked.view
        market = self.known.market(view.placement.vertical or "", settings, view.assortment)
        if books is None or not market.is_open:
            raise StoreUnavailable("what ads are chosen by cannot be read now")
        with step("auction"):
            bids = ranked_bids(asked, settings, market, admitted(asked, settings, market))
        if not len(bids):
            return []
        with step("reserve shows"), self._held(settings.hold_seconds) as holds:
            return await self._in_time(
                lambda: reserved(books, asked, settings, market, bids, k, recommendation_id, holds)
            )

    async def offered(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        """Of each recommendation id and item whether that was an ad of the reply, whatever the catalogue says now.

        Books in memory that are not open have offered nothing. Raises `StoreUnavailable`: ask again.
        """
        if self._books is None and not self._is_kept:
            return [False] * len(shows)
        books = self._opened()
        return await self._in_time(lambda: books.ledger.offered(shows))

    async def saw(self, person: str, ad: str, recommendation_id: str) -> Outcome:
        """An event says that the person saw the ad: "shown" for the first time, "known" after that, or "unknown".

        Raises `StoreUnavailable`: send the event again.
        """
        books = self._opened()
        seen = await self._in_time(lambda: books.ledger.see(recommendation_id, ad))
        found = self.known.find(ad)
        if seen == "late" and found is not None and found[1] in found[0].caps:
            # Its show was taken back, or is just now, or that failed half way and is tried no more. Once it certainly
            # was, it counts anew, under a name that nobody takes back.
            cap, late = found[0].caps[found[1]], impression_id(f"{recommendation_id} late", ad)
            held = OneShow(person, ad, impression_id(recommendation_id, ad))
            await self._in_time(lambda: books.counters.take_back_shows([held]))
            await self._in_time(lambda: books.counters.try_show(person, cap, late))
        if seen == "new":
            self._holds.confirm(recommendation_id, ad)
        if seen in {"new", "late"}:
            return "shown"
        return "known" if seen == "known" else "unknown"

    async def clicked(self, person: str, ad: str, recommendation_id: str) -> Outcome:
        """An event says that the person clicked it: "paid", by this event or one before it; "over-budget"; "unknown".

        A click that the budget has no room for costs nothing, then or sent again later. The budget is the one that the
        catalogue has now, and where the ad has gone, or pays from elsewhere, the one that it had.
        Raises `StoreUnavailable`: send the event again.
        """
        books = self._opened()
        if await self.saw(person, ad, recommendation_id) == "unknown":
            return "unknown"
        offer = await self._in_time(lambda: books.ledger.click(recommendation_id, ad))
        if offer is None:
            return "unknown"
        if offer.is_refused:
            return "over-budget"
        budget = self._budget_of(ad, offer)
        impression = impression_id(recommendation_id, ad)
        spend = await self._in_time(lambda: books.counters.try_spend(offer.campaign, impression, offer.price, budget))
        if spend.counted:
            return "paid"
        await self._in_time(lambda: books.ledger.refuse(recommendation_id, offer))
        return "over-budget"

    async def answers(self) -> bool:
        """Whether what is counted of ads, and what was offered, can be read now."""
        try:
            books = self._opened()
            counters = books.counters
            await self._in_time(
                lambda: asyncio.gather(
                    counters.shown(_NOBODY, [Cap(_NOBODY, 1)]), counters.spent(_NOBODY), books.ledger.counts([_NOBODY])
                )
            )
        except StoreUnavailable:
            return False
        return True

    async def counters(self) -> AdCounters | None:
        """What it counts of people with; None where nobody was counted yet, as the books are in memory and not open.

        Raises `StoreUnavailable`: they are kept, and cannot be opened now.
        """
        if self._books is None and self._is_kept:
            await self._in_time(self._are_open.wait)
        return None if self._books is None else self._books.counters

    def _budget_of(self, ad: str, offer: Offer) -> Budget:
        if (found := self.known.find(ad)) is not None:
            ads, row = found
            if ads.campaigns[ads.campaign[row]] == offer.campaign:
                return ads.budgets[row]
        return offer.budget

    def _opened(self) -> Books:
        if self._books is None:
            raise StoreUnavailable("the books of ads are not open yet")
        return self._books

    async def _keep_up(self, books: Books) -> NoReturn:
        while True:
            started = time.monotonic()
            await self.look(books)
            # Many campaigns take long to read: requests have most of the time all the same.
            await asyncio.sleep(max(self._look_seconds, 3 * (time.monotonic() - started)))

    @contextmanager
    def _held(self, seconds: float) -> Iterator[list[Hold]]:
        """Holds to fill: kept for so long where all goes well, and taken back at the next look where it does not."""
        holds: list[Hold] = []
        ends = time.monotonic()
        try:
            yield holds
            ends = time.monotonic() + seconds
        finally:
            for hold in holds:
                self._holds.add(hold, ends)

    async def _in_time(self, step: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            with self._breaker.attempt():
                async with asyncio.timeout(self._timeout_seconds):
                    return await step()
        except (StoreError, TimeoutError) as error:
            _LOG.warning("books of ads unavailable", extra={"fields": {"reason": type(error).__name__}})
            raise StoreUnavailable(
                f"the books of ads did not do their part in {self._timeout_seconds} s: {type(error).__name__}"
            ) from error
