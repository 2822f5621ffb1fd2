"""Re-folding: after a new checkpoint everybody's embedding is made anew from local history (D6).

The version that answered before goes on answering from its own embeddings, which are kept beside the new ones. A person
who is asked for before their turn is folded in on the way, and whoever is up to date is left alone: so a sweep can be
broken off anywhere, and the next one does what is left.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from feature_store.checkpoint import Checkpoint
from feature_store.embedding import UserEmbedding
from feature_store.errors import CorruptStore, StoreError, UnknownKey
from feature_store.folded import keep_folded
from feature_store.stores import LocalStores
from feature_store.unreadable import UNREADABLE

BATCH = 512  # people folded in at once


@dataclass(frozen=True, slots=True)
class Refolded:
    """What a sweep came to.

    people: seen.
    folded: whose embedding was made anew.
    failed: whom the store could not be read or written for; the next sweep, or their next request, folds them in.
    """

    people: int = 0
    folded: int = 0
    failed: int = 0

    def __add__(self, other: "Refolded") -> "Refolded":
        return Refolded(self.people + other.people, self.folded + other.folded, self.failed + other.failed)


async def refold(
    stores: LocalStores,
    checkpoint: Checkpoint,
    *,
    batch: int = BATCH,
    share: float = 1.0,
    goes_on: Callable[[], bool] = lambda: True,
) -> Refolded:
    """Fold in everybody whose embedding for the checkpoint is not there, or is of another history than theirs now.

    Args:
        stores: of one place.
        checkpoint: whose items they are folded in on.
        batch: people folded in at once; between two batches others have their turn.
        share: of the time that this may take; after each batch it waits for as long as leaves requests the rest.
        goes_on: asked before each batch; once it is false the rest of the people are left as they are.

    Raises:
        StoreError: the store cannot say who its people are.
    """
    total = Refolded()
    try:
        async for people in _batches(stores.events.user_ids(), batch):
            if not goes_on():
                break
            began = time.monotonic()
            total += await _refold(stores, checkpoint, people)
            await asyncio.sleep((time.monotonic() - began) * (1 / share - 1))
    except UNREADABLE:  # said at the end, of those whose ids cannot be read: one at least
        total += Refolded(people=1, failed=1)
    return total


async def _refold(stores: LocalStores, checkpoint: Checkpoint, people: Sequence[str]) -> Refolded:
    """One batch; where a value in it is damaged, each of its people alone, so that it costs nobody else anything."""
    try:
        return await _refold_together(stores, checkpoint, people)
    except UNREADABLE:
        if len(people) == 1:
            return Refolded(people=1, failed=1)
        alone = [await _refold(stores, checkpoint, [user_id]) for user_id in people]
        return sum(alone, start=Refolded())
    except StoreError:
        return Refolded(people=len(people), failed=len(people))


async def _refold_together(stores: LocalStores, checkpoint: Checkpoint, people: Sequence[str]) -> Refolded:
    checkpoint_id = checkpoint.manifest.checkpoint_id
    found = await stores.events.met_many(people)
    held = await stores.embeddings.get_many(people, checkpoint_id)
    stale = [
        (user_id, met)
        for user_id, met, embedding in zip(people, found, held, strict=True)
        if met.item_ids and (embedding is None or embedding.watermark != met.watermark)
    ]
    histories = [checkpoint.vocabulary.known_rows(met.item_ids) for _, met in stale]
    vectors = await asyncio.to_thread(checkpoint.fold_in_many, histories)
    await keep_folded(
        stores,
        {
            user_id: UserEmbedding(vector.copy(), checkpoint_id, met.watermark)
            for (user_id, met), vector in zip(stale, vectors, strict=True)
        },
    )
    return Refolded(len(people), len(stale))


async def _batches(people: AsyncIterator[str], size: int) -> AsyncIterator[list[str]]:
    """The people, so many at a time; an error of theirs comes behind everybody before it."""
    batch: list[str] = []
    failed: CorruptStore | UnknownKey | None = None
    try:
        async for user_id in people:
            batch.append(user_id)
            if len(batch) == size:
                yield batch
                batch = []
    except UNREADABLE as error:
        failed = error
    if batch:
        yield batch
    if failed is not None:
        raise failed
