"""A person on a device: their embedding, kept in step with history and bundle, and what is ranked by it.

`feature_store.refold` for those of whom a device has the item bundle and no checkpoint: each is folded in anew when
they are next asked for, after a new bundle as after a new event. Vectors, events and embeddings never leave the device.
"""

from feature_store.embedding import UserEmbedding
from feature_store.folded import keep_folded
from feature_store.item_bundle import ItemBundle
from feature_store.item_bundle_rank import Ranked, folded_in, rank
from feature_store.met import MetItems
from feature_store.query_tower import Context
from feature_store.stores import LocalStores


async def rank_for(
    stores: LocalStores, bundle: ItemBundle, user_id: str, k: int, context: Context | None = None
) -> Ranked:
    """The k items that the person wants most, of those neither met nor hidden; raises as `rank` and the stores do."""
    met = await stores.events.met(user_id)
    embedding = await _embedding(stores, bundle, user_id, met)
    rows, hidden = (bundle.vocabulary.known_rows(item_ids) for item_ids in (met.item_ids, met.disliked))
    return rank(bundle, rows, k, context, hidden_rows=hidden, embedding=embedding)


async def refold_for(stores: LocalStores, bundle: ItemBundle, user_id: str) -> UserEmbedding:
    """The person's embedding for the bundle's checkpoint, as of the history now; kept, where it was not there yet.

    Raises:
        StoreError: as the stores do; an embedding of before then stays what it is.
    """
    return await _embedding(stores, bundle, user_id, await stores.events.met(user_id))


async def _embedding(stores: LocalStores, bundle: ItemBundle, user_id: str, met: MetItems) -> UserEmbedding:
    checkpoint_id = bundle.facts.checkpoint_id
    held = await stores.embeddings.get(user_id, checkpoint_id)
    if held is not None and held.watermark == met.watermark:
        return held
    vector = folded_in(bundle, bundle.vocabulary.known_rows(met.item_ids))
    made = UserEmbedding(vector, checkpoint_id, met.watermark)
    if met.item_ids:  # of somebody of whom nothing is known, nothing is kept
        await keep_folded(stores, {user_id: made})
    return made
