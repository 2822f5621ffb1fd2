"""What every store of items promises; `tests/feature_store/item_store_contract.py` holds each to it.

Items of one vertical are one catalogue; an id is an item's own within its vertical. What is written is visible at once
to whoever reads, in other processes too. Each change of an item has a number that rises, so that a reader follows a
catalogue by asking what changed since the last time. What an item was before is not kept.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from feature_store.errors import BadInput
from feature_store.item_fields import VERTICAL_NAME
from feature_store.item_schemas import StoredItem

MOST_AT_ONCE = 5000  # items of one call: a call is one step, and others wait for it
KEPT_REMOVALS = 100_000  # of one vertical, so that catalogues whose items come and go do not grow for ever


class Mark(NamedTuple):
    """How far a reader has read; `START` where it has not.

    version: number of the latest change that it knows, of all up to there.
    floor: up to which version removals were forgotten already when it began: it never saw what these removed.
    """

    version: int = 0
    floor: int = 0

    def missed_removals(self, floor: int) -> bool:
        """Whether removals that are forgotten up to `floor` were of items that the reader may have."""
        return self.version > 0 and max(self.version, self.floor) < floor


START = Mark()


class Changes(NamedTuple):
    """Items that changed since a mark, the earliest change first; of an item only its latest is told.

    mark: ask with this one next.
    changed: ids put since, new or different.
    removed: ids removed since.
    more: whether there are further changes, which the next question gets.
    anew: the reader's mark lies so far back that removals since then are forgotten: this is the catalogue from its
        beginning, and whoever follows it drops what it had.
    """

    mark: Mark
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    more: bool
    anew: bool


class ItemStore(Protocol):
    """The catalogues of a place.

    Raises, in each method:
        BadInput: a vertical has no name that one can have, or a call has more than `MOST_AT_ONCE` items.
        StoreError: as its subclasses say; nothing was done then.
    """

    async def upsert(self, items: Sequence[StoredItem]) -> int:
        """Put all of these items, of one vertical, or none; say how many were new or different.

        Of one id twice the last counts. An item that is what it was before is no change.
        """
        ...

    async def get_many(self, vertical: str, item_ids: Sequence[str]) -> list[StoredItem | None]:
        """Of each id its item, or None where the vertical has none of that id, in their order."""
        ...

    async def remove(self, vertical: str, item_ids: Sequence[str]) -> int:
        """Remove the items, all or none, and say how many there were."""
        ...

    async def count(self, vertical: str) -> int:
        """How many items the vertical has."""
        ...

    async def version(self, vertical: str) -> int:
        """The number of the vertical's latest change; 0 where nothing was ever put."""
        ...

    async def changes_since(self, vertical: str, mark: Mark = START, most: int = 1000) -> Changes:
        """The changes after that mark, at most so many; from the start, items as they are, and no earlier removals."""
        ...

    async def verticals(self) -> list[str]:
        """The verticals that have items, by name."""
        ...


async def items_of(store: ItemStore, vertical: str, at_a_time: int = 1000) -> AsyncIterator[StoredItem]:
    """All items of the vertical, by their latest change. One that changes meanwhile may come twice, the newer later."""
    mark, more = START, True
    while more:
        changes = await store.changes_since(vertical, mark, at_a_time)
        for item in await store.get_many(vertical, changes.changed):
            if item is not None:  # else it was removed meanwhile
                yield item
        mark, more = changes.mark, changes.more


def one_vertical_of(items: Sequence[StoredItem]) -> str:
    """The vertical of all of the items, of which there is one at least; raises `BadInput`."""
    names = sorted({item.vertical for item in items})
    if len(names) != 1:
        raise BadInput(f"items that are put together are of one vertical; these are of {', '.join(names)}")
    require_few(len(items))
    return names[0]


def require_vertical(vertical: str) -> None:
    """Raise `BadInput` for what cannot be a vertical's name: it becomes part of keys."""
    if not VERTICAL_NAME.fullmatch(vertical):
        raise BadInput(
            f"a vertical is named in small letters, digits and hyphens, such as e-commerce; got {vertical!r}"
        )


def require_few(number: int) -> None:
    """Raise `BadInput` for more items than one call takes."""
    if number > MOST_AT_ONCE:
        raise BadInput(f"a call takes at most {MOST_AT_ONCE:,} items, as it is one step; got {number:,}")
