"""Following a catalogue: what is put into an item store is in the server's assortments a moment later.

One task for all verticals asks what changed since its mark (`ItemStore.changes_since`), as often as the configuration
says. A store that is away leaves the assortments as they are, and they catch up when it is back.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import NoReturn

from feature_store.errors import StoreError
from feature_store.item_store import START, ItemStore, Mark
from serving.assortment.assortment import Assortment

_LOG = logging.getLogger("serving.assortment")
_AT_A_TIME = 500  # items, between which requests have their turn
_LONGEST_WAIT = 10.0  # seconds between attempts while the store is away


class Follower:
    """How far one assortment has followed its catalogue."""

    def __init__(self, vertical: str, store: ItemStore, assortment: Assortment, mark: Mark = START) -> None:
        self.vertical, self.assortment, self.mark = vertical, assortment, mark
        self._store = store
        self._unseen: set[str] = set()  # of a catalogue that is read anew: what it may have no more

    async def catch_up(self) -> int:
        """Take in all that changed since the last time; how many changes that were. Raises `StoreError`.

        A catalogue that has to be read anew, because removals were forgotten, loses items when it has been read whole:
        until then they can be shown as before.
        """
        changed, more = 0, True
        while more:
            changes = await self._store.changes_since(self.vertical, self.mark, _AT_A_TIME)
            items = await self._store.get_many(self.vertical, changes.changed)
            if changes.anew:
                self._unseen = {item.item_id for item in self.assortment.items()}
            there = [item for item in items if item is not None]
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
    wait = every_seconds
    while True:
        try:
            for follower in tuple(followers()):
                await follower.catch_up()
            wait = every_seconds
        except StoreError as error:
            _LOG.warning("catalogue not followed", extra={"fields": {"reason": type(error).__name__}})
            wait = min(2 * wait, max(every_seconds, _LONGEST_WAIT))
        await asyncio.sleep(wait)
