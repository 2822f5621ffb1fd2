"""Filling: interactions of a file spread over cells, for a trial. Nobody's data is cut: each person is in one cell."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from feature_store.encryption import own_keys
from feature_store.errors import BadInput
from feature_store.events import Event
from feature_store.sqlite import open_sqlite
from hearth.federation.layout import CellFolder
from training.interactions import Interactions

_BATCH = 5000  # events written at once


def fill(cells: Sequence[CellFolder], interactions: Interactions) -> dict[str, int]:
    """Write everybody's interactions to the store of their cell; how many people went to each, by its name.

    Doing it again with the same interactions changes nothing.

    Raises:
        BadInput: an interaction has no timestamp.
    """
    if np.isnan(interactions.timestamps).any():
        raise BadInput("each interaction needs a timestamp: the newest of a person are held out")
    homes = [home(user_id, len(cells)) for user_id in interactions.user_ids]
    people = {}
    for number, cell in enumerate(cells):
        is_here = np.array([place == number for place in homes], np.bool_)
        lines = np.flatnonzero(is_here[interactions.users])
        asyncio.run(_write(cell.store, cell.store_keys, interactions, lines.tolist()))
        people[cell.name] = int(is_here.sum())
    return people


def home(user_id: str, cells: int) -> int:
    """The cell of a person, the same whatever else is in the file."""
    return int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:8], "big") % cells


async def _write(store: Path, keys: Path, interactions: Interactions, lines: list[int]) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    async with open_sqlite(store, own_keys(keys)) as stores:
        for start in range(0, len(lines), _BATCH):
            await stores.events.put([_event(interactions, line) for line in lines[start : start + _BATCH]])


def _event(interactions: Interactions, line: int) -> Event:
    value = float(interactions.values[line])
    return Event(
        event_id=f"line-{line}",
        user_id=interactions.user_ids[interactions.users[line]],
        item_id=interactions.vocabulary.item_ids[interactions.items[line]],
        event=interactions.event_names[interactions.events[line]],
        timestamp=float(interactions.timestamps[line]),
        value=None if np.isnan(value) else value,
    )
