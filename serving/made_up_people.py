"""Made-up people: how people may ask, where nobody has asked yet. Indexes are made and tried with their queries.

A query follows from a history as it does for a reply. What it is like depends on how long the history is, as popularity
counts for people of short ones, and on whether the items are alike, as those of real people are: so there are several
kinds of people, and an index is to serve each of them.
"""

from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array
from feature_store.blend import BLENDED_UP_TO, blended_query
from serving.model import ServingModel
from serving.shelf import Shelf

_PEOPLE = 300  # of each kind
_LIKED = 3  # items that those of somebody whose items are alike are near to
_NEAR = 100  # items near to each of these, of
_LOOKED_AT = 5_000  # that are drawn, of a shelf that has more


class _Kind(NamedTuple):
    """How many items they met, and whether these are alike."""

    items: int
    alike: bool


_KINDS = (
    _Kind(1, alike=False),
    _Kind(3, alike=False),
    _Kind(BLENDED_UP_TO + 1, alike=False),  # the first of whom popularity says nothing
    _Kind(BLENDED_UP_TO + 1, alike=True),
    _Kind(30, alike=False),
    _Kind(30, alike=True),
    _Kind(100, alike=True),
)


def queries_by_kind(model: ServingModel, shelf: Shelf) -> list[Float32Array]:
    """Queries of people who met items of the shelf, for each kind of them, shape (people, numbers)."""
    random = np.random.default_rng([1, len(shelf.rows)])
    counts = model.checkpoint.item_counts[shelf.rows].astype(np.float64) + 1
    blend = model.checkpoint.manifest.blend
    found = []
    for kind in _KINDS:
        places = _alike(shelf, counts, kind.items, random) if kind.alike else _popular(counts, kind.items, random)
        histories: list[Int32Array] = [shelf.rows[np.unique(met)].astype(np.int32) for met in places]
        folded = model.checkpoint.fold_in_many(histories)
        queries = [blended_query(vector, len(rows), blend) for vector, rows in zip(folded, histories, strict=True)]
        found.append(np.stack(queries))
    return found


def _popular(counts: Float64Array, items: int, random: np.random.Generator) -> list[Int32Array]:
    """Places of items, met as often as people met them."""
    return list(random.choice(len(counts), (_PEOPLE, items), p=counts / counts.sum()))


def _alike(shelf: Shelf, counts: Float64Array, items: int, random: np.random.Generator) -> list[Int32Array]:
    """Places of items near to a few that each person likes, the popular ones more often."""
    looked_at = np.sort(random.permutation(len(counts))[:_LOOKED_AT]).astype(np.int32)
    liked = random.choice(len(counts), (_PEOPLE, _LIKED), p=counts / counts.sum()).astype(np.int32)
    own = shelf.directions(looked_at)
    near = min(_NEAR, len(looked_at))
    found = []
    for theirs in liked:
        likeness = own @ shelf.directions(theirs).T
        pool = np.concatenate([theirs, looked_at[np.argpartition(-likeness, near - 1, axis=0)[:near].ravel()]])
        found.append(random.choice(pool, items, p=counts[pool] / counts[pool].sum()))
    return found
