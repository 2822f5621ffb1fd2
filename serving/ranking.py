"""Ranking: the candidates of all sources become one list, by one judge.

Sources do not score alike, so their scores are not compared. One of them is the judge: the person's own source, unless
the placement names another (`rank_by`), has no other, or the request asks for what is like an item. Whatever source
proposed an item, the judge's score of it is what it is ranked by; the score then counts less the older the item is, and
more or less as rules say.

Of what the judge has no score it comes behind, in the order of its source, and takes the places that the shares of
sources keep for it. The person's own source has none of what the model does not know, and any other none of what it did
not propose.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float64Array, Int32Array
from serving.candidates import Candidates, Source, nothing
from serving.placements.conditions import holds
from serving.sources.asked import Asked
from serving.sources.known import scores
from serving.view import View


class Ranked(NamedTuple):
    """Distinct candidates, best first.

    places: shape (n,).
    values: what they are ranked by, shape (n,), never rising; of what the judge has no score -inf.
    proposed: of each source of the placement, in their order, its candidates.
    promoted: those that rules promote.
    others: those that fill a list for which the sources have too few.
    """

    places: Int32Array
    values: Float64Array
    proposed: Sequence[Candidates]
    promoted: Candidates
    others: Sequence[Candidates] = ()

    def source(self, place: int) -> Source:
        """The first of the placement's sources that proposed it; where none did, whose else it is."""
        return next(one.source for one in (*self.proposed, *self.others, self.promoted) if place in one.places)


def rank(
    asked: Asked,
    proposed: Sequence[Candidates],
    promoted: Candidates | None = None,
    others: Sequence[Candidates] = (),
) -> Ranked:
    """All candidates, by falling value; of equal values as the judge has them, then as the sources come."""
    promoted = nothing("promoted") if promoted is None else promoted
    judged = _judged(asked, proposed)
    places = np.concatenate([one.places for one in (*judged, *proposed, *others, promoted)])
    _, first = np.unique(places, return_index=True)
    places = places[np.sort(first)]
    values = _values(asked, judged, places)
    factors = value_factors(asked.view, places)
    finite = np.isfinite(values)
    values[finite] = np.where(values < 0, values / factors, values * factors)[finite]
    order = np.argsort(-values, kind="stable")
    return Ranked(places[order].astype(np.int32), values[order], proposed, promoted, others)


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


def judge_of(asked: Asked) -> str:
    """Whose scores count: "personal", or another kind of the placement's sources."""
    placement = asked.view.placement
    if asked.request.like_item_id is not None and placement.source("similar") is not None:
        return "similar"
    if placement.rank_by is not None:
        return placement.rank_by
    return placement.sources[0].kind if len(placement.sources) == 1 else "personal"


def _judged(asked: Asked, proposed: Sequence[Candidates]) -> list[Candidates]:
    """What the judge proposed; nothing of the person's own source, which has a score of all that the model knows.

    A judge that proposed nothing leaves it to that source.
    """
    judge, sources = judge_of(asked), zip(asked.view.placement.sources, proposed, strict=True)
    return [one for source, one in sources if source.kind == judge != "personal" and len(one)]


def _values(asked: Asked, judged: Sequence[Candidates], places: Int32Array) -> Float64Array:
    """The judge's score of each of the places, -inf where it has none, shape (n,)."""
    values = np.full(len(places), -np.inf)
    if not judged:
        known = places < asked.view.assortment.known
        values[known] = scores(asked, places[known])
        return values
    theirs = judged[0]
    values[: len(theirs)] = theirs.scores  # they come first, each once
    return values
