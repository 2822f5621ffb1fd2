"""Beside the sources: what rules promote, and all that is left where the sources have too little for a list."""

import numpy as np

from feature_store.arrays import Int32Array
from serving.candidates import Candidates, Source, nothing
from serving.placements.conditions import places_of
from serving.sources.asked import Asked
from serving.sources.known import scores


def promoted(asked: Asked) -> Candidates:
    """What rules in force promote and is eligible, whatever sources think of it; the best of the model's items first.

    Then what the model does not know, the latest that came to the catalogue first.
    """
    view = asked.view
    rules = [rule for rule in view.placement.rules if rule.then == "promote" and rule.is_in_force(view.now)]
    if not rules:  # as for nearly every request: no item need be looked at
        return nothing("promoted")
    found = [places_of(rule.when, view.assortment) for rule in rules]
    places = found[0] if len(found) == 1 else np.unique(np.concatenate(found))
    return _in_order(asked, places[asked.eligible[places]], "promoted")


def others(asked: Asked) -> list[Candidates]:
    """All that is eligible, in the order of `promoted`: the model's items, and those that it does not know."""
    places = np.flatnonzero(asked.eligible).astype(np.int32)
    first_unknown = int(np.searchsorted(places, asked.view.assortment.known))
    by_model: Source = "popular" if asked.query is None else "blended" if asked.query.is_blended else "personal"
    return [_in_order(asked, places[:first_unknown], by_model), _in_order(asked, places[first_unknown:], "fresh")]


def _in_order(asked: Asked, places: Int32Array, source: Source) -> Candidates:
    """places: ascending."""
    first_unknown = int(np.searchsorted(places, asked.view.assortment.known))
    known, unknown = places[:first_unknown], places[first_unknown:]
    best = np.argsort(-scores(asked, known), kind="stable")
    places = np.concatenate([known[best], unknown[::-1]])
    return Candidates(places, np.arange(len(places), 0, -1, dtype=np.float32), source)
