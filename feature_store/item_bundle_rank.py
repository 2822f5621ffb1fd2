"""Ranking on a device: from the items that a person has met to the best others, with an item bundle and nothing else.

Fold-in, blend, item-item weights and context are those of serving; only the item vectors are rounded.
"""

from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.blend import discounts, popular_share, popularity
from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput
from feature_store.fold_in import fold_in
from feature_store.item_bundle import ItemBundle
from feature_store.query_tower import Context

_NO_ROWS: Int32Array = np.empty(0, np.int32)


class Ranked(NamedTuple):
    """The best items of a bundle, best first; of equal scores the lower row is first."""

    rows: Int32Array
    scores: Float32Array


def rank(
    bundle: ItemBundle,
    met_rows: Int32Array,
    k: int,
    context: Context | None = None,
    *,
    hidden_rows: Int32Array = _NO_ROWS,
    embedding: UserEmbedding | None = None,
) -> Ranked:
    """The k items that a person wants most, of those neither met nor hidden; fewer where fewer are left.

    Args:
        bundle: the items.
        met_rows: distinct rows of the bundle that the person has met; without any, what is popular is ranked.
        k: how many, at least 1.
        context: of the request, where the bundle has a query tower.
        hidden_rows: rows that no list shows (`MetItems.disliked`); nobody is folded in from them.
        embedding: what was folded in from the history before; without one it is folded in now.

    Raises:
        BadInput: k is below 1, a row is none of the bundle's, or the embedding has another length than its vectors.
        CheckpointMismatch: the embedding was folded in on another checkpoint.
    """
    items = bundle.facts.items
    left_out = np.union1d(met_rows, hidden_rows).astype(np.int32)
    if k < 1 or (len(left_out) and not 0 <= left_out[0] <= left_out[-1] < items):
        raise BadInput(f"ranking takes k >= 1 and rows from 0 to {items - 1}; got k={k} and rows {left_out}")
    scores = _scores(bundle, met_rows, context or {}, embedding)
    scores[left_out] = -np.inf
    wanted = min(k, items - len(left_out))
    if not wanted:
        return Ranked(_NO_ROWS, np.empty(0, np.float32))
    last = np.partition(scores, items - wanted)[items - wanted]
    rows = np.flatnonzero(scores >= last)  # with all that tie with the last, so that the lower row comes first
    best = rows[np.argsort(-scores[rows], kind="stable")[:wanted]]
    return Ranked(best.astype(np.int32), scores[best])


def folded_in(bundle: ItemBundle, met_rows: Int32Array) -> Float32Array:
    """The user embedding, shape (dim,)."""
    # Only the rows of a history are written, and only their pages ever exist: the shape is for its number of items.
    item_vectors = np.empty((bundle.facts.items_of_checkpoint, bundle.facts.dim), np.float32)
    item_vectors[met_rows] = bundle.vectors.rows(met_rows)
    return fold_in(item_vectors, bundle.item_gram, met_rows, bundle.facts.fold_in)


def _query(bundle: ItemBundle, met_rows: Int32Array, embedding: UserEmbedding | None) -> Float32Array:
    if embedding is None:
        return folded_in(bundle, met_rows)
    vector = embedding.for_checkpoint(bundle.facts.checkpoint_id)
    if len(vector) != bundle.facts.dim:
        raise BadInput(f"vectors of the bundle have {bundle.facts.dim} numbers; the user embedding has {len(vector)}")
    return vector


def _scores(
    bundle: ItemBundle, met_rows: Int32Array, context: Context, embedding: UserEmbedding | None
) -> Float32Array:
    """The score of every item, as `feature_store.blend` has it."""
    blend, counts = bundle.facts.blend, bundle.item_counts
    if not len(met_rows):
        return popularity(counts, blend)
    query = _query(bundle, met_rows, embedding)
    if bundle.query_tower is not None:
        query = bundle.query_tower.query(query, context)
    scores = bundle.vectors.products(query)
    if bundle.item_item is not None:
        scores[bundle.item_item.rows] += bundle.item_item.added([met_rows])[0]
    if blend.discount:
        scores *= discounts(counts, blend)
    share = np.float32(popular_share(len(met_rows), blend))
    return scores if share == 0 else (1 - share) * scores + share * popularity(counts, blend)
