"""Arranging: the list itself, position by position, from what was ranked.

At each position an item is chosen among those that are left and that no cap forbids:

1. one that a rule promotes to this position;
2. one of a source that has had less than its share of the list so far, where one has;
3. else the best: by value, or, where the list is to be diverse, by value and by unlikeness to what is chosen already.

So shares are spread over the list, caps are never broken, and a list is short only where nothing is left to choose.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Int32Array
from serving.arranging.diversity import Unlikeness
from serving.assortment.columns import NO_NAME
from serving.candidates import Source
from serving.placements.conditions import holds
from serving.placements.settings import Cap
from serving.ranking import Ranked
from serving.sources.asked import Asked


class Arranged(NamedTuple):
    """One item of the list."""

    place: int
    value: float
    source: Source


def arrange(asked: Asked, ranked: Ranked, k: int, unlikeness: Unlikeness) -> list[Arranged]:
    """At most k of the ranked items, in the order in which they are shown."""
    shares: dict[str, float] = {
        source.kind: source.share for source in asked.view.placement.sources if source.share > 0
    }
    proposers = [
        (shares[_kind(one.source)], np.isin(ranked.places, one.places), one.source)
        for one in ranked.proposed
        if _kind(one.source) in shares
    ]
    promoted = _promoted(asked, ranked)
    caps = [_Capped(cap, asked, ranked.places) for cap in asked.view.placement.caps]
    left = np.ones(len(ranked.places), np.bool_)
    taken: Counter[Source] = Counter()
    result: list[Arranged] = []
    for position in range(1, k + 1):
        allowed = left & np.logical_and.reduce([cap.allowed() for cap in caps]) if caps else left
        if not allowed.any():
            break
        at, source = _chosen(position, allowed, promoted, proposers, taken, unlikeness)
        left[at] = False
        for cap in caps:
            cap.take(at)
        for _, theirs, name in proposers:
            taken[name] += int(theirs[at])
        unlikeness.take(at)
        place = int(ranked.places[at])
        result.append(Arranged(place, float(ranked.values[at]), source or ranked.source(place)))
    return result


def _chosen(
    position: int,
    allowed: BoolArray,
    promoted: Sequence[tuple[int, BoolArray]],
    proposers: Sequence[tuple[float, BoolArray, Source]],
    taken: Counter[Source],
    unlikeness: Unlikeness,
) -> tuple[int, Source | None]:
    """Which of the ranked comes next, and the source to name where it is not that which proposed it first."""
    for wanted, items in promoted:
        if wanted == position and (allowed & items).any():
            return int(np.flatnonzero(allowed & items)[0]), "promoted"
    owed = [
        (share * position - taken[name], theirs, name)
        for share, theirs, name in proposers
        if np.ceil(share * position - 1e-9) > taken[name] and (allowed & theirs).any()
    ]
    if owed:
        _, theirs, name = max(owed, key=lambda one: one[0])
        # Each in its own order: what it proposed first is first, whatever the ranking makes of it.
        return int(np.flatnonzero(allowed & theirs)[0]), name
    return unlikeness.best(allowed), None


def _promoted(asked: Asked, ranked: Ranked) -> list[tuple[int, BoolArray]]:
    view = asked.view
    return [
        (rule.position, holds(rule.when, view.assortment)[ranked.places])
        for rule in view.placement.rules
        if rule.then == "promote" and rule.position is not None and rule.is_in_force(view.now)
    ]


def _kind(source: Source) -> str:
    """The kind of source in a placement's settings."""
    return "personal" if source == "blended" else source


class _Capped:
    """What one cap still allows."""

    def __init__(self, cap: Cap, asked: Asked, places: Int32Array) -> None:
        names = asked.view.assortment.names(cap.field)
        self._most = cap.most
        self._codes: Int32Array = np.full(len(places), NO_NAME, np.int32) if names is None else names.first[places]
        self._taken: Counter[int] = Counter()
        self._allowed = np.ones(len(places), np.bool_)

    def allowed(self) -> BoolArray:
        """Which of the ranked it lets through, shape (n,); what has no name in its field always."""
        return self._allowed

    def take(self, at: int) -> None:
        """Count one that is in the list now."""
        code = int(self._codes[at])
        if code == NO_NAME:
            return
        self._taken[code] += 1
        if self._taken[code] >= self._most:
            self._allowed &= self._codes != code
