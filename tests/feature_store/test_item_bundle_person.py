"""A person on a device: folded in when asked for, and again when history or bundle have changed."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from feature_store.encryption import keys_from, new_key
from feature_store.events import Event
from feature_store.item_bundle import ItemBundle, read_bundle
from feature_store.item_bundle_person import rank_for, refold_for
from feature_store.item_bundle_rank import folded_in, rank
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores
from tests.feature_store.test_item_bundle import TRUSTED, bundled, loaded, low_rank

KEYS = keys_from(lambda: [new_key()])
MARIA = "maria"


def two_bundles(folder: Path) -> tuple[ItemBundle, ItemBundle]:
    first = low_rank(300, 16)
    second = dataclasses.replace(first, item_vectors=first.item_vectors[:, ::-1].copy(), round_number=4)
    old, new = (read_bundle(bundled(loaded(draft, folder)), TRUSTED) for draft in (first, second))
    return old, new


@asynccontextmanager
async def lived_in(folder: Path, items: int = 3) -> AsyncIterator[LocalStores]:
    """Maria has viewed items 10, 11, ...; and there is one, no longer known to any bundle, that she viewed as well."""
    async with open_sqlite(folder / "device.sqlite", KEYS) as stores:
        await stores.events.put([view(10 + n) for n in range(items)])
        await stores.events.put([Event("gone", MARIA, "gone", "view", 1.0)])
        yield stores


def view(item: int) -> Event:
    return Event(f"view-{item}", MARIA, f"item {item}", "view", 1000.0 + item)


def rows(*items: int) -> np.ndarray:
    return np.array(items, np.int32)


def test_a_person_is_folded_in_once_for_each_bundle_and_history(tmp_path: Path) -> None:
    async def run() -> None:
        old, new = two_bundles(tmp_path)
        async with lived_in(tmp_path) as stores:
            first = await refold_for(stores, old, MARIA)
            assert first.checkpoint_id == old.facts.checkpoint_id
            assert (first.vector == folded_in(old, rows(10, 11, 12))).all()
            assert await stores.embeddings.get(MARIA, first.checkpoint_id) == first
            # what is there is taken, and not made again: this one would never be made
            mark = dataclasses.replace(first, vector=np.ones(16, np.float32))
            await stores.embeddings.put(MARIA, mark)
            assert await refold_for(stores, old, MARIA) == mark
            moved = await refold_for(stores, new, MARIA)
            assert moved.checkpoint_id == new.facts.checkpoint_id
            assert (moved.vector == folded_in(new, rows(10, 11, 12))).all()
            await stores.events.put([view(13)])
            assert ((await refold_for(stores, old, MARIA)).vector == folded_in(old, rows(10, 11, 12, 13))).all()

    asyncio.run(run())


def test_a_list_is_by_what_is_held_without_what_was_met_or_hidden(tmp_path: Path) -> None:
    async def run() -> None:
        old, new = two_bundles(tmp_path)
        async with lived_in(tmp_path) as stores:
            best = rank(old, rows(10, 11, 12), 5).rows.tolist()
            assert (await rank_for(stores, old, MARIA, 5)).rows.tolist() == best
            await stores.events.put([Event("hide", MARIA, f"item {best[0]}", "hide", 2000.0)])
            assert (await rank_for(stores, old, MARIA, 4)).rows.tolist() == best[1:]
            by_new = rank(new, rows(10, 11, 12), 5, hidden_rows=rows(best[0])).rows.tolist()
            assert (await rank_for(stores, new, MARIA, 5)).rows.tolist() == by_new

    asyncio.run(run())


def test_of_somebody_who_did_nothing_nothing_is_kept(tmp_path: Path) -> None:
    async def run() -> None:
        old, _ = two_bundles(tmp_path)
        async with lived_in(tmp_path) as stores:
            popular = rank(old, rows(), 5).rows.tolist()
            assert (await rank_for(stores, old, "stranger", 5)).rows.tolist() == popular
            assert await stores.embeddings.get("stranger", old.facts.checkpoint_id) is None

    asyncio.run(run())
