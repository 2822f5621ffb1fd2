"""Keeping what people were folded in to, while others may erase them.

Whoever folds in reads a history, works, and puts an embedding. If the person is erased in between, the embedding would
be put after the erasure has looked everywhere and found nothing; and nobody looks for embeddings of people without a
history. So the history is looked at once more behind the put. An erasure removes events before embeddings: it either is
seen by that look, or comes to the embedding itself.
"""

from collections.abc import Mapping

from feature_store.embedding import UserEmbedding
from feature_store.stores import LocalStores


async def keep_folded(stores: LocalStores, embeddings: Mapping[str, UserEmbedding]) -> None:
    """Put the embeddings, by user id, but for those of people of whom nothing is known any more.

    A process that is killed between the put and the look leaves the embedding of who was erased in that moment.

    Raises:
        StoreError: as the stores do; any of them may be kept, or none.
    """
    await stores.embeddings.put_many(embeddings)
    known = await stores.events.met_many(list(embeddings))
    for user_id, met in zip(embeddings, known, strict=True):
        if not met.watermark:
            await stores.embeddings.delete(user_id)
