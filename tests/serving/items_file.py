"""A file of items, written as another program does while a server shows them, such as `hearth items import`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from feature_store.item_schemas import StoredItem
from feature_store.item_store_sqlite import open_sqlite_items


def put(file: Path, items: Sequence[StoredItem], remove: Sequence[str] = ()) -> None:
    """Put items, of whatever verticals; remove: ids of others, of the vertical of the first."""

    async def write() -> None:
        async with open_sqlite_items(file) as store:
            for vertical in {item.vertical for item in items}:
                await store.upsert([item for item in items if item.vertical == vertical])
            if remove:
                await store.remove(items[0].vertical, remove)

    asyncio.run(write())
