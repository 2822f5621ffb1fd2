"""Arranging: the list itself, position by position, from what was ranked.

First each rule that promotes has its best item put at its position. Each other position then gets an item that is left
and that no cap forbids:

1. one of a source that is behind its share of the list, in that source's own order;
2. else the best: by value, or, where the list is to be diverse, by value and by unlikeness to what is chosen already.

Shares are spread over the list: of ten items with a share of 0.2, the fifth and the tenth are that source's, unless
others of its items came by their value. Caps are never broken, and a list is short only where caps allow nothing of
what is left. With caps on one field no longer list can be made of what is eligible; with caps on several a cleverer
choice could at times make one.

What is put together here is what `serving.arranging.choosing` chooses from.
"""

import math
from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from serving.arranging.choosing import BEST, BY_VALUE, DPP, MMR, PROMOTED, ROUNDING, choose
from serving.assortment.columns import NO_NAME
from serving.candidates import Source
from serving.placements.conditions import holds_at
from serving.placements.settings import Diversity
from serving.ranking import Ranked
from serving.sources.asked import Asked

_NO_VECTORS: Float32Array = np.empty((0, 0), np.float32)
_NO_LENGTHS: Float32Array = np.empty(0, np.float32)


class Arranged(NamedTuple):
    """One item of the list."""

    place: int
    value: float
    source: Source


def arrange(asked: Asked, ranked: Ranked, k: int, diversity: Diversity | None = None) -> list[Arranged]:
    """At most k of the ranked items, in the order in which they are shown; diversity: None for by value alone."""
    vectors, lengths, dim = _NO_VECTORS, _NO_LENGTHS, 0
    method, weight = BY_VALUE, 0.0
    shelf = asked.view.assortment.shelf
    if diversity is not None and diversity.weight > 0 and shelf is not None:
        vectors, lengths, dim = shelf.vectors, shelf.lengths, shelf.dim
        method, weight = DPP if diversity.method == "dpp" else MMR, diversity.weight
    chosen, reasons = np.empty(k, np.int32), np.empty(k, np.int32)
    sources = asked.view.placement.sources
    holds, positions = _promoting(asked, ranked)
    count = choose(
        ranked.values,
        ranked.places,
        vectors,
        lengths,
        dim,
        method,
        weight,
        _codes(asked, ranked.places),
        np.array([cap.most for cap in asked.view.placement.caps], np.int64),
        ranked.at,
        ranked.first[: len(sources) + 1],
        np.array([math.ceil(source.share * k - ROUNDING) for source in sources], np.int64),
        ranked.first[-2],
        holds,
        positions,
        chosen,
        reasons,
    )
    return _arranged(ranked, chosen[:count], reasons[:count])


def _arranged(ranked: Ranked, chosen: Int32Array, reasons: Int32Array) -> list[Arranged]:
    """Each with the source to name: whose share it was, or the first of the placement's sources that proposed it."""
    numbers = np.where(reasons == BEST, ranked.came_from[chosen], reasons).tolist()
    places, values = ranked.places[chosen].tolist(), ranked.values[chosen].tolist()
    return [
        Arranged(place, value, "promoted" if number == PROMOTED else ranked.lists[number].source)
        for place, value, number in zip(places, values, numbers, strict=True)
    ]


def _codes(asked: Asked, places: Int32Array) -> Int32Array:
    """Of each cap the names of those places in its field, shape (caps, n)."""
    caps = asked.view.placement.caps
    codes = np.full((len(caps), len(places)), NO_NAME, np.int32)
    for cap, own in zip(caps, codes, strict=True):
        if (names := asked.view.assortment.names(cap.field)) is not None:
            names.first.take(places, out=own)
    return codes


def _promoting(asked: Asked, ranked: Ranked) -> tuple[BoolArray, Int64Array]:
    """Of each rule that promotes now for which of the ranked it holds, shape (rules, n), and the position it wants."""
    view, rules = asked.view, []
    if len(ranked.promoted):
        rules = [rule for rule in view.placement.rules if rule.then == "promote" and rule.is_in_force(view.now)]
    holds = np.empty((len(rules), len(ranked.places)), np.bool_)
    for rule, own in zip(rules, holds, strict=True):
        own[:] = holds_at(rule.when, view.assortment, ranked.places)
    return holds, np.array([rule.position or 1 for rule in rules], np.int64)
