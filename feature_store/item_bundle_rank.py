"""Ranking on a device: from the items that a person has met to the best others, with an item bundle and nothing else.

Fold-in, blend, item-item weights and context are those of serving; only the item vectors are rounded.
"""

from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.blend import discounts, popular_share, popularity
from feature_store.errors import BadInput
from feature_store.fold_in import fold_in
from feature_store.item_bundle import ItemBundle
from feature_store.query_tower import Context

_BLOCK = 8192  # items scored at a time: 2 MiB of float32 at dim 64, whatever the catalogue


class Ranked(NamedTuple):
    """The best items of a bundle, best first; of equal scores the lower row is first."""

    rows: Int32Array
    scores: Float32Array


def rank(bundle: ItemBundle, met_rows: Int32Array, k: int, context: Context | None = None) -> Ranked:
    """The k items that a person wants most, of those not met; fewer where fewer are left.

    Args:
        bundle: the items.
        met_rows: distinct rows of the bundle that the person has met; without any, what is popular is ranked.
        k: how many, at least 1.
        context: of the request, where the bundle has a query tower.

    Raises:
        BadInput: k is below 1, or a row is none of the bundle's.
    """
    items = bundle.facts.items
    if k < 1 or (len(met_rows) and not 0 <= met_rows.min() <= met_rows.max() < items):
        raise BadInput(f"ranking takes k >= 1 and rows from 0 to {items - 1}; got k={k} and rows {met_rows}")
    scores = _scores(bundle, met_rows, context or {})
    scores[met_rows] = -np.inf
    wanted = min(k, items - len(met_rows))
    if not wanted:
        return Ranked(np.empty(0, np.int32), np.empty(0, np.float32))
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


def _scores(bundle: ItemBundle, met_rows: Int32Array, context: Context) -> Float32Array:
    """The score of every item, as `feature_store.blend` has it."""
    blend, counts = bundle.facts.blend, bundle.item_counts
    if not len(met_rows):
        return popularity(counts, blend)
    query = folded_in(bundle, met_rows)
    if bundle.query_tower is not None:
        query = bundle.query_tower.query(query, context)
    codes, scales = bundle.vectors
    scores = np.empty(len(codes), np.float32)
    for start in range(0, len(codes), _BLOCK):
        block = slice(start, start + _BLOCK)
        scores[block] = (codes[block].astype(np.float32) @ query) * scales[block]
    if bundle.item_item is not None:
        scores[bundle.item_item.rows] += bundle.item_item.added([met_rows])[0]
    if blend.discount:
        scores *= discounts(counts, blend)
    share = np.float32(popular_share(len(met_rows), blend))
    return scores if share == 0 else (1 - share) * scores + share * popularity(counts, blend)
