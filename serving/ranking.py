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
from serving.placements.conditions import holds_at
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

    def sources(self, places: Int32Array) -> list[Source]:
        """Of each of some places the first of the placement's sources that proposed it; else whose else it is."""
        found: list[Source] = ["promoted"] * len(places)
        for one in (*reversed(self.others), *reversed(self.proposed)):  # the first has the last word
            for at in np.flatnonzero((places[:, None] == one.places).any(axis=1)).tolist():
                found[at] = one.source
        return found


def rank(
    asked: Asked,
    proposed: Sequence[Candidates],
    promoted: Candidates | None = None,
    others: Sequence[Candidates] = (),
) -> Ranked:
    """All candidates, by falling value; of equal values as the judge has them, then as the sources come."""
    promoted = nothing("promoted") if promoted is None else promoted
    judged = _judged(asked, proposed)
    places = _distinct([one.places for one in (judged, *proposed, *others, promoted)], len(asked.view.assortment))
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
            factors[holds_at(rule.when, view.assortment, places)] *= rule.factor
    return factors


def judge_of(asked: Asked) -> str:
    """Whose scores count: "personal", or another kind of the placement's sources."""
    placement = asked.view.placement
    if asked.request.like_item_id is not None and placement.source("similar") is not None:
        return "similar"
    if placement.rank_by is not None:
        return placement.rank_by
    return placement.sources[0].kind if len(placement.sources) == 1 else "personal"


def _distinct(lists: Sequence[Int32Array], count: int) -> Int32Array:
    """The places of all lists, each once, where it comes first.

    lists: of distinct places each, below `count`.
    """
    is_new, found = np.ones(count, np.bool_), []
    for places in lists:
        found.append(places[is_new[places]])
        is_new[places] = False
    return np.concatenate(found)


def _judged(asked: Asked, proposed: Sequence[Candidates]) -> Candidates:
    """What the judge proposed, scored already; nothing where the person's own source judges and nobody can be scored.

    A judge that proposed nothing leaves it to that source.
    """
    judge = judge_of(asked)
    if judge == "personal" and asked.view.assortment.shelf is None:
        return nothing("personal")
    theirs = (one for source, one in zip(asked.view.placement.sources, proposed, strict=True) if source.kind == judge)
    return next(theirs, nothing("personal"))


def _values(asked: Asked, judged: Candidates, places: Int32Array) -> Float64Array:
    """The judge's score of each of the places, -inf where it has none, shape (n,). What it proposed comes first."""
    values = np.full(len(places), -np.inf)
    values[: len(judged)] = judged.scores
    if judge_of(asked) == "personal" or not len(judged):  # its scores are of all that the model knows
        further = np.flatnonzero(places[len(judged) :] < asked.view.assortment.known) + len(judged)
        values[further] = scores(asked, places[further])
    return values
