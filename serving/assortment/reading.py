"""Reading items of a catalogue of which some cannot be read: these are found by halving, and keep no other one back."""

from collections.abc import Sequence
from typing import NamedTuple

from feature_store.errors import UnreadableItem
from feature_store.item_schemas import StoredItem
from feature_store.item_store import ItemStore


class Read(NamedTuple):
    """Some items.

    there: those that the catalogue has and that can be read, in the order of the ids.
    unreadable: ids of those that it has and that cannot.
    """

    there: list[StoredItem]
    unreadable: list[str]


async def read_items(store: ItemStore, vertical: str, item_ids: Sequence[str]) -> Read:
    """These items of a vertical, what can be read of them; raises `StoreError` where none can."""
    try:
        found = await store.get_many(vertical, item_ids)
    except UnreadableItem:
        if len(item_ids) == 1:
            return Read([], list(item_ids))
        half = len(item_ids) // 2
        first = await read_items(store, vertical, item_ids[:half])
        second = await read_items(store, vertical, item_ids[half:])
        return Read(first.there + second.there, first.unreadable + second.unreadable)
    return Read([item for item in found if item is not None], [])
