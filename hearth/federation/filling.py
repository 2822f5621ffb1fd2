"""Filling: interactions of a file spread over cells, for a trial. Nobody's data is cut: each person is in one cell."""

import asyncio
import hashlib
from collections import Counter
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

    Doing it again with the same interactions changes nothing; others come to those that are there.

    Raises:
        BadInput: an interaction has no timestamp.
    """
    if np.isnan(interactions.timestamps).any():
        raise BadInput("each interaction needs a timestamp: the newest of a person are held out")
    ids = _event_ids(interactions)
    homes = [home(user_id, len(cells)) for user_id in interactions.user_ids]
    people = {}
    for number, cell in enumerate(cells):
        is_here = np.array([place == number for place in homes], np.bool_)
        lines = np.flatnonzero(is_here[interactions.users])
        asyncio.run(_write(cell.store, cell.store_keys, interactions, ids, lines.tolist()))
        people[cell.name] = int(is_here.sum())
    return people


def home(user_id: str, cells: int) -> int:
    """The cell of a person, the same whatever else is in the file."""
    return int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:8], "big") % cells


def _event_ids(interactions: Interactions) -> list[str]:
    """Of each interaction: what it says, and how often the file has said so before."""
    seen, ids = Counter[str](), list[str]()
    for line in range(len(interactions.users)):
        said = [
            interactions.user_ids[interactions.users[line]],
            interactions.vocabulary.item_ids[interactions.items[line]],
            interactions.event_names[interactions.events[line]],
            str(interactions.timestamps[line]),
            str(interactions.values[line]),
        ]
        digest = hashlib.sha256("\0".join(said).encode()).hexdigest()[:32]
        ids.append(f"line-{digest}-{seen[digest]}")
        seen[digest] += 1
    return ids


async def _write(store: Path, keys: Path, interactions: Interactions, ids: list[str], lines: list[int]) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    async with open_sqlite(store, own_keys(keys)) as stores:
        for start in range(0, len(lines), _BATCH):
            await stores.events.put([_event(interactions, ids[line], line) for line in lines[start : start + _BATCH]])


def _event(interactions: Interactions, event_id: str, line: int) -> Event:
    value = float(interactions.values[line])
    return Event(
        event_id=event_id,
        user_id=interactions.user_ids[interactions.users[line]],
        item_id=interactions.vocabulary.item_ids[interactions.items[line]],
        event=interactions.event_names[interactions.events[line]],
        timestamp=float(interactions.timestamps[line]),
        value=None if np.isnan(value) else value,
    )
