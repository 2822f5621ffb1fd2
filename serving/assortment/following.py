"""Following a catalogue: what is put into an item store is in the server's assortments a moment later.

One task for all verticals asks what changed since its mark (`ItemStore.changes_since`), as often as the configuration
says. A catalogue that cannot be read leaves its assortment as it is, and marked as stale; it catches up once it can be
read again. An item that cannot be read is not shown: nobody knows whether it may be.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from feature_store.errors import StoreError
from feature_store.item_store import START, ItemStore, Mark
from serving.assortment.assortment import Assortment
from serving.assortment.reading import read_items
from serving.metrics import Metrics

_LOG = logging.getLogger("serving.assortment")
_AT_A_TIME = 500  # items, between which requests have their turn
_LONGEST_WAIT = 2.0  # seconds between attempts at a catalogue that cannot be read


class Follower:
    """How far one assortment has followed its catalogue.

    failure: the name of the error that the last look ended with; None where it went well.
    unreadable: ids of items of the catalogue that cannot be read, and so are not shown.
    """

    def __init__(self, vertical: str, store: ItemStore, assortment: Assortment, mark: Mark = START) -> None:
        self.vertical, self.assortment, self.mark = vertical, assortment, mark
        self.failure: str | None = None
        self.unreadable: set[str] = set()
        self._store = store
        self._wait = self._not_before = 0.0
        self._unseen: set[str] = set()  # of a catalogue that is read anew: what it may have no more

    async def look(self, every_seconds: float) -> None:
        """Catch up where that is due. One that fails is tried again after a wait that doubles, up to 2 seconds.

        every_seconds: between two looks where all goes well; no wait is shorter.
        """
        if time.monotonic() < self._not_before:
            return
        try:
            await self.catch_up()
        except Exception as error:  # noqa: BLE001 - whatever it was: the other catalogues are followed all the same
            self._wait = min(2 * max(self._wait, every_seconds), max(every_seconds, _LONGEST_WAIT))
            self._not_before = time.monotonic() + self._wait
            if self.failure is None:
                fields = {"vertical": self.vertical, "reason": type(error).__name__}
                unforeseen = None if isinstance(error, StoreError) else error
                _LOG.warning("catalogue not followed", exc_info=unforeseen, extra={"fields": fields})
            self.failure = type(error).__name__
        else:
            if self.failure is not None:
                _LOG.info("catalogue followed again", extra={"fields": {"vertical": self.vertical}})
            self.failure, self._wait, self._not_before = None, 0.0, 0.0
        self.assortment.is_stale = self.failure is not None

    async def catch_up(self) -> int:
        """Take in all that changed since the last time; how many changes that were. Raises `StoreError`.

        A catalogue that has to be read anew, because removals were forgotten, loses items when it has been read whole:
        until then they can be shown as before.
        """
        changed, more = 0, True
        while more:
            changes = await self._store.changes_since(self.vertical, self.mark, _AT_A_TIME)
            there, unreadable = await read_items(self._store, self.vertical, changes.changed)
            if changes.anew:
                self._unseen = {item.item_id for item in self.assortment.items()}
                self.unreadable.clear()
            self.unreadable -= {*changes.changed, *changes.removed}
            self.unreadable.update(unreadable)
            if unreadable:
                fields = {"vertical": self.vertical, "items": len(unreadable)}
                _LOG.warning("items of a catalogue cannot be read, and are not shown", extra={"fields": fields})
            gone = {*changes.removed, *changes.changed} - {item.item_id for item in there}
            self._unseen.difference_update(changes.changed)
            self.mark, more = changes.mark, changes.more
            if not more:
                gone |= self._unseen
                self._unseen = set()
            if there or gone:
                self.assortment.put(there)
                self.assortment.remove(gone)
            changed += len(there) + len(gone)
        return changed


async def follow(followers: Callable[[], Iterable[Follower]], every_seconds: float) -> NoReturn:
    """Keep all of them up to date until cancelled. `followers` is asked each time: a swap brings others."""
    while True:
        for follower in tuple(followers()):
            await follower.look(every_seconds)
        await asyncio.sleep(every_seconds)


def measure(followers: Sequence[Follower], metrics: Metrics) -> None:
    """Say of each vertical whether it is stale; of two models the one that is worse off counts."""
    metrics.catalogue_stale.clear()
    metrics.catalogue_unreadable.clear()
    for vertical in {follower.vertical for follower in followers}:
        of_it = [follower for follower in followers if follower.vertical == vertical]
        metrics.catalogue_stale.labels(vertical).set(any(follower.failure is not None for follower in of_it))
        metrics.catalogue_unreadable.labels(vertical).set(max(len(follower.unreadable) for follower in of_it))
