"""The graph as a source: what friends have met, and what they and those followed have made.

Two orders become one by reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): an item's score is the sum of
1/(60 + its rank) over the orders that it is in.

* met: by how many of the friends met it, over (how many people met it)^0.25, as far as the model has counted them, so
  that it is not one more list of what is popular. docs/placements-social.md has what that costs.
* made: posts of friends and of those followed, the newest first.

Beside that, friends can weigh in the scores of the person's own source: where n of the m friends asked met an item,
weight · n/(m + 5) is added. That is the share of friends who met it, with five more who met nothing, so that one friend
of one says less than ten of ten.
"""

import numpy as np

from feature_store.arrays import Float64Array, Int32Array
from serving.candidates import Candidates, nothing
from serving.placements.settings import GraphSource
from serving.request import Neighbours
from serving.shelf import Added
from serving.sources.asked import Asked
from serving.view import View

_DAMPING = 0.25
_FUSED_AT = 60.0
_NOTHING_MET = 5  # friends who met nothing, that are taken for granted


def graph(asked: Asked, depth: int) -> Candidates:
    """The best of what neighbours met and made; nothing where nobody knows them."""
    neighbours = asked.profile.neighbours
    if neighbours is None:
        return nothing("graph")
    orders = [made_by(asked, neighbours)[:depth], met_by(asked, neighbours)[:depth]]
    ranks: list[Float64Array] = [np.arange(1, len(order) + 1, dtype=np.float64) for order in orders]
    places, first, at = np.unique(np.concatenate(orders), return_index=True, return_inverse=True)
    scores = np.bincount(at, 1 / (_FUSED_AT + np.concatenate(ranks)), minlength=len(places))
    best = np.lexsort((first, -scores))[:depth]  # of equal scores what was made comes first
    return Candidates(places[best].astype(np.int32), scores[best].astype(np.float32), "graph")


def met_by(asked: Asked, neighbours: Neighbours) -> Int32Array:
    """What neighbours met and is eligible, by how many of them met it, and how few others."""
    assortment = asked.view.assortment
    found = {place: met for item_id, met in neighbours.met.items() if (place := assortment.place(item_id)) is not None}
    places = np.array(sorted(found), np.int32)
    places = places[asked.eligible[places]]
    met = np.array([found[place] for place in places.tolist()], np.float64)
    everybody = np.zeros(len(assortment))
    if assortment.shelf is not None:
        everybody[: assortment.known] = assortment.shelf.popular.counts
    scores = met / np.maximum(everybody[places], met) ** _DAMPING
    order = np.argsort(-scores, kind="stable")
    return places[order]


def made_by(asked: Asked, neighbours: Neighbours) -> Int32Array:
    """What friends and those followed made and is eligible, the newest first."""
    authors = asked.view.assortment.names("author")
    if authors is None:
        return np.empty(0, np.int32)
    places = authors.places(neighbours.follows | neighbours.friends)
    return newest_first(asked.view, places[asked.eligible[places]])


def newest_first(view: View, places: Int32Array) -> Int32Array:
    """Those places by when they appeared, the newest first; where nobody said, what came to the catalogue later."""
    appeared = np.nan_to_num(view.assortment.appeared[places], nan=-np.inf)
    return places[np.lexsort((-places, -appeared))]


def with_friends(added: Added | None, neighbours: Neighbours | None, view: View) -> Added | None:
    """What is added to the scores of the person's own source, and besides what neighbours' meetings add."""
    source = view.placement.source("graph")
    if not isinstance(source, GraphSource) or source.weight == 0 or view.model is None:
        return added
    if neighbours is None or not neighbours.met:
        return added
    vocabulary = view.model.checkpoint.vocabulary
    met = {vocabulary.row(item_id): met for item_id, met in neighbours.met.items() if item_id in vocabulary}
    rows = np.array(sorted(met), np.int32)
    friends = np.array([met[row] for row in rows.tolist()]) * (source.weight / (neighbours.asked + _NOTHING_MET))
    if added is None:
        return Added(rows, friends.astype(np.float32))
    both = np.union1d(added.rows, rows).astype(np.int32)
    scores = np.zeros(len(both), np.float32)
    scores[np.searchsorted(both, added.rows)] = added.scores
    scores[np.searchsorted(both, rows)] += friends.astype(np.float32)
    return Added(both, scores)
