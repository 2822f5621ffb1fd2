"""Items in memory: for tests, and for servers that read their catalogue anew at each start."""

from collections.abc import Sequence

from feature_store.item_schemas import StoredItem
from feature_store.item_store import KEPT_REMOVALS, START, Changes, Mark, one_vertical_of, require_few, require_vertical


class _Shelf:
    """One vertical. changes: id -> number of its latest change, in their order; of ids without an item a removal."""

    __slots__ = ("changes", "floor", "items", "removed", "version")

    def __init__(self) -> None:
        self.items: dict[str, StoredItem] = {}
        self.changes: dict[str, int] = {}
        self.removed: dict[str, None] = {}  # the earliest first
        self.version = self.floor = 0

    def note(self, item_id: str) -> None:
        self.version += 1
        self.changes.pop(item_id, None)
        self.changes[item_id] = self.version
        self.removed.pop(item_id, None)


class InMemoryItemStore:
    """Items in dictionaries. No method awaits anything within, so each is whole."""

    def __init__(self, kept_removals: int = KEPT_REMOVALS) -> None:
        self._shelves: dict[str, _Shelf] = {}
        self._kept_removals = kept_removals

    async def upsert(self, items: Sequence[StoredItem]) -> int:
        """See `ItemStore.upsert`."""
        if not items:
            return 0
        shelf = self._shelves.setdefault(one_vertical_of(items), _Shelf())
        latest = {item.item_id: item for item in items}
        changed = [item for item in latest.values() if shelf.items.get(item.item_id) != item]
        for item in changed:
            shelf.items[item.item_id] = item
            shelf.note(item.item_id)
        return len(changed)

    async def get_many(self, vertical: str, item_ids: Sequence[str]) -> list[StoredItem | None]:
        """See `ItemStore.get_many`."""
        require_few(len(item_ids))
        shelf = self._shelf(vertical)
        return [shelf.items.get(item_id) for item_id in item_ids]

    async def remove(self, vertical: str, item_ids: Sequence[str]) -> int:
        """See `ItemStore.remove`."""
        require_few(len(item_ids))
        shelf = self._shelf(vertical)
        there = [item_id for item_id in dict.fromkeys(item_ids) if item_id in shelf.items]
        for item_id in there:
            del shelf.items[item_id]
            shelf.note(item_id)
            shelf.removed[item_id] = None
        while len(shelf.removed) > self._kept_removals:
            first = next(iter(shelf.removed))
            del shelf.removed[first]
            shelf.floor = shelf.changes.pop(first)
        return len(there)

    async def count(self, vertical: str) -> int:
        """See `ItemStore.count`."""
        return len(self._shelf(vertical).items)

    async def version(self, vertical: str) -> int:
        """See `ItemStore.version`."""
        return self._shelf(vertical).version

    async def changes_since(self, vertical: str, mark: Mark = START, most: int = 1000) -> Changes:
        """See `ItemStore.changes_since`. Goes through all ids: what is in memory is small."""
        shelf = self._shelf(vertical)
        anew = mark.missed_removals(shelf.floor) or mark.version > shelf.version
        since = 0 if anew else mark.version
        later = [(item_id, at) for item_id, at in shelf.changes.items() if at > since]
        if since == 0:
            later = [(item_id, at) for item_id, at in later if item_id in shelf.items]
        page = later[:most]
        more = len(later) > most
        return Changes(
            mark=Mark(page[-1][1] if more else shelf.version, mark.floor if since else shelf.floor),
            changed=tuple(item_id for item_id, _ in page if item_id in shelf.items),
            removed=tuple(item_id for item_id, _ in page if item_id not in shelf.items),
            more=more,
            anew=anew,
        )

    async def verticals(self) -> list[str]:
        """See `ItemStore.verticals`."""
        return sorted(name for name, shelf in self._shelves.items() if shelf.items)

    def _shelf(self, vertical: str) -> _Shelf:
        require_vertical(vertical)
        return self._shelves.get(vertical) or _Shelf()
