"""Ranking: the candidates of all sources become one list, by what the person's own source thinks of each.

Sources do not score alike, so their scores are not compared. What the model knows is scored once more, by the query of
the person; the score then counts less the older the item is, and more or less as rules say. What the model does not
know has no such score: it comes behind, in the order of its source, and takes the places that the shares of sources
keep for it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float64Array, Int32Array
from serving.candidates import Candidates, Source
from serving.placements.conditions import holds
from serving.sources.asked import Asked
from serving.sources.known import scores
from serving.view import View


class Ranked(NamedTuple):
    """Distinct candidates, best first.

    places: shape (n,).
    values: what they are ranked by, shape (n,), never rising; of an item that the model does not know -inf.
    proposed: of each source that proposed any, its candidates.
    """

    places: Int32Array
    values: Float64Array
    proposed: Sequence[Candidates]

    def source(self, place: int) -> Source:
        """The first of the placement's sources that proposed it."""
        return next(one.source for one in self.proposed if place in one.places)


def rank(asked: Asked, proposed: Sequence[Candidates]) -> Ranked:
    """All that the sources proposed, by falling value; of equal values as the sources come, and as these have them."""
    places = np.concatenate([one.places for one in proposed]) if proposed else np.empty(0, np.int32)
    _, first = np.unique(places, return_index=True)
    places = places[np.sort(first)]
    values = np.full(len(places), -np.inf)
    known = places < asked.view.assortment.known
    values[known] = scores(asked, places[known])
    factors = value_factors(asked.view, places)
    values[known] = np.where(values[known] < 0, values[known] / factors[known], values[known] * factors[known])
    order = np.argsort(-values, kind="stable")
    return Ranked(places[order].astype(np.int32), values[order], proposed)


def value_factors(view: View, places: Int32Array) -> Float64Array:
    """By what a score is multiplied, above 0, shape (n,): 2^(-age/half-life), and the factors of rules in force."""
    factors = np.ones(len(places))
    if view.placement.half_life_hours is not None:
        appeared = view.assortment.appeared[places]
        hours = np.maximum(view.now - appeared, 0.0) / 3600.0
        factors *= np.where(np.isnan(appeared), 1.0, np.exp2(-np.minimum(hours / view.placement.half_life_hours, 60.0)))
    for rule in view.placement.rules:
        if rule.then == "boost" and rule.factor is not None and rule.is_in_force(view.now):
            factors[holds(rule.when, view.assortment)[places]] *= rule.factor
    return factors
