"""What is known of ads: read between requests, about once a second, and handed to each as a market.

What cannot be read closes its ads: a catalogue that may have taken an ad out, a budget that may be spent, a calibration
that was never read.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

from feature_store.errors import BadInput, StoreError
from feature_store.item_store import ItemStore
from serving.ads.books import Books
from serving.ads.calibration import Calibration, read_calibration
from serving.ads.columns import AdColumns, columns_of
from serving.ads.figures import Figures, market_of, read_figures
from serving.ads.market import Market
from serving.ads.settings import AdsSettings
from serving.assortment.assortment import Assortment

_LOG = logging.getLogger("serving.ads")


class Vertical(NamedTuple):
    """A vertical whose items are ads, and the settings of the placements that show them."""

    name: str
    settings: tuple[AdsSettings, ...]


class Places(Protocol):
    """What is followed. It is asked each time, as placements and models change."""

    def verticals(self) -> Sequence[Vertical]:
        """Those with ads; none where no placement shows any."""
        ...

    def assortment(self, vertical: str) -> Assortment | None:
        """What can be shown of it now."""
        ...


class _Read(NamedTuple):
    at: float  # of the clock that nobody sets
    figures: Figures


class KnownAds:
    """Columns, figures and calibrations by vertical.

    catalogues: where ads are; None where there are none, and then no ads are known.
    stale_seconds: after which what was read is too old to show ads by.
    """

    def __init__(self, places: Places, catalogues: ItemStore | None, stale_seconds: float) -> None:
        self.places = places
        self._catalogues, self._stale_seconds = catalogues, stale_seconds
        self._read: dict[str, _Read] = {}
        self._columns: WeakKeyDictionary[Assortment, tuple[int, AdColumns]] = WeakKeyDictionary()
        self._calibrations: dict[AdsSettings, tuple[object, Calibration]] = {}
        self._markets: WeakKeyDictionary[AdColumns, dict[AdsSettings, Market]] = WeakKeyDictionary()

    async def look(self, books: Books, seconds: float) -> None:
        """Read all that ads are chosen by, in so many seconds for each vertical."""
        for vertical in self.places.verticals():
            for settings in vertical.settings:
                await asyncio.to_thread(self._read_calibration, settings)
            assortment = self.places.assortment(vertical.name)
            if assortment is None or self._catalogues is None:
                continue
            try:
                async with asyncio.timeout(seconds):
                    await self._catalogues.version(vertical.name)  # whether it can be read
                    figures = await read_figures(books, self._columns_of(assortment))
            except (StoreError, TimeoutError) as error:
                self._read.pop(vertical.name, None)
                _LOG.warning("no ads are shown", extra={"fields": {"reason": type(error).__name__}})
            else:
                self._read[vertical.name] = _Read(time.monotonic(), figures)
        self._markets.clear()

    def market(self, vertical: str, settings: AdsSettings, assortment: Assortment) -> Market:
        """What is known now of the ads of a vertical; a closed one where that is too little or too old."""
        ads = self._columns_of(assortment)
        read = self._read.get(vertical)
        calibration = self._calibrations[settings][1] if settings in self._calibrations else None
        if (
            read is None
            or time.monotonic() - read.at > self._stale_seconds
            or (calibration is None and settings.calibration is not None)
        ):
            return market_of(ads, Figures({}, {}), calibration, is_open=False)
        made = self._markets.setdefault(ads, {})
        if settings not in made:
            made[settings] = market_of(ads, read.figures, calibration, is_open=True)
        return made[settings]

    def has(self, item_id: str) -> bool:
        """Whether a vertical with ads has the item; one that was taken out is forgotten with the next model."""
        shown = (self.places.assortment(vertical.name) for vertical in self.places.verticals())
        return any(assortment is not None and item_id in assortment for assortment in shown)

    def find(self, ad: str) -> tuple[AdColumns, int] | None:
        """Where the ad is among those of a catalogue as it is now; None where none has it."""
        for vertical in self.places.verticals():
            assortment = self.places.assortment(vertical.name)
            if assortment is not None and ad in (columns := self._columns_of(assortment)).rows:
                return columns, columns.rows[ad]
        return None

    def _columns_of(self, assortment: Assortment) -> AdColumns:
        """Those of the assortment as it is; of several models at a time, each has its own."""
        found = self._columns.get(assortment)
        if found is None or found[0] != assortment.version:
            made = columns_of(assortment, None if found is None else found[1])
            found = self._columns[assortment] = (assortment.version, made)
        return found[1]

    def _read_calibration(self, settings: AdsSettings) -> None:
        """Read the file again where it has changed; a bad one leaves the calibration that answers."""
        if settings.calibration is None:
            return
        try:
            status = settings.calibration.stat()
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
            if settings not in self._calibrations or self._calibrations[settings][0] != state:
                self._calibrations[settings] = (state, read_calibration(settings.calibration))
        except (OSError, BadInput) as error:
            fields = {"reason": type(error).__name__, "detail": str(error)}
            _LOG.warning("calibration not read", extra={"fields": fields})
