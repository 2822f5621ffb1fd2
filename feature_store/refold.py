"""Re-folding: after a new checkpoint everybody's embedding is made anew from local history (D6).

The version that answered before goes on answering from its own embeddings, which are kept beside the new ones. A person
who is asked for before their turn is folded in on the way, and whoever is up to date is left alone: so a sweep can be
broken off anywhere, and the next one does what is left.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from feature_store.checkpoint import Checkpoint
from feature_store.embedding import UserEmbedding
from feature_store.errors import StoreError
from feature_store.met import MetItems
from feature_store.stores import LocalStores

BATCH = 512  # people folded in at once
_AT_A_TIME = 16  # reads or writes of a store under way


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
    pause_seconds: float = 0.0,
    goes_on: Callable[[], bool] = lambda: True,
) -> Refolded:
    """Fold in everybody whose embedding for the checkpoint is not there, or is of another history than theirs now.

    Args:
        stores: of one place.
        checkpoint: whose items they are folded in on.
        batch: people folded in at once; between two batches others have their turn.
        pause_seconds: to wait after each batch, so as to leave more of the machine to requests.
        goes_on: asked before each batch; once it is false the rest of the people are left as they are.

    Raises:
        StoreError: the store cannot say who its people are.
    """
    total = Refolded()
    async for people in _batches(stores.events.user_ids(), batch):
        if not goes_on():
            break
        total += await _refold(stores, checkpoint, people)
        await asyncio.sleep(pause_seconds)
    return total


async def _refold(stores: LocalStores, checkpoint: Checkpoint, people: Sequence[str]) -> Refolded:
    turn = asyncio.Semaphore(_AT_A_TIME)

    async def met(user_id: str) -> MetItems | None:
        async with turn:
            try:
                return await stores.events.met(user_id)
            except StoreError:
                return None

    async def put(user_id: str, embedding: UserEmbedding) -> bool:
        async with turn:
            try:
                await stores.embeddings.put(user_id, embedding)
            except StoreError:
                return False
            return True

    checkpoint_id = checkpoint.manifest.checkpoint_id
    try:
        held = await stores.embeddings.get_many(people, checkpoint_id)
    except StoreError:
        return Refolded(people=len(people), failed=len(people))
    found = await asyncio.gather(*map(met, people))
    stale = [
        (user_id, known)
        for user_id, known, embedding in zip(people, found, held, strict=True)
        if known is not None and known.item_ids and (embedding is None or embedding.watermark != known.watermark)
    ]
    histories = [checkpoint.vocabulary.known_rows(known.item_ids) for _, known in stale]
    vectors = await asyncio.to_thread(checkpoint.fold_in_many, histories)
    written = await asyncio.gather(
        *(
            put(user_id, UserEmbedding(vector.copy(), checkpoint_id, known.watermark))
            for (user_id, known), vector in zip(stale, vectors, strict=True)
        )
    )
    return Refolded(len(people), sum(written), written.count(False) + found.count(None))


async def _batches(people: AsyncIterator[str], size: int) -> AsyncIterator[list[str]]:
    batch: list[str] = []
    async for user_id in people:
        batch.append(user_id)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
