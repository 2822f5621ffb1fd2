"""Arranging: the list itself, position by position, from what was ranked.

First each rule that promotes has its best item put at its position. Each other position then gets an item that is left
and that no cap forbids:

1. one of a source that is behind its share of the list, in that source's own order;
2. else the best: by value, or, where the list is to be diverse, by value and by unlikeness to what is chosen already.

Shares are spread over the list: of ten items with a share of 0.2, the fifth and the tenth are that source's, unless
others of its items came by their value. Caps are never broken, and a list is short only where caps allow nothing of
what is left. With caps on one field no longer list can be made of what is eligible; with caps on several a cleverer
choice could at times make one.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Int32Array
from serving.arranging.diversity import Unlikeness
from serving.assortment.columns import NO_NAME
from serving.candidates import Candidates, Source
from serving.placements.conditions import holds_at
from serving.placements.settings import Cap
from serving.ranking import Ranked
from serving.sources.asked import Asked

_ROUNDING = 1e-9  # shares are floats: 0.2 of 5 is one item, not a little more


class Arranged(NamedTuple):
    """One item of the list."""

    place: int
    value: float
    source: Source


def arrange(asked: Asked, ranked: Ranked, k: int, unlikeness: Unlikeness) -> list[Arranged]:
    """At most k of the ranked items, in the order in which they are shown."""
    if not len(ranked.places):
        return []
    left = _Left(asked, ranked, unlikeness)
    shares = _shares(asked, ranked, k)
    promoted = _promoted(asked, ranked, k, left)
    for at in promoted.values():
        _note(at, left, shares)
    left.remove(~_proposed(ranked))
    result: list[tuple[int, Source | None]] = []
    for position in range(1, k + 1):
        if position in promoted:
            result.append((promoted[position], "promoted"))
        elif left.allowed().any():
            free = k - position + 1 - sum(taken >= position for taken in promoted)
            at, source = _chosen(position / k, free, left, shares)
            _note(at, left, shares)
            result.append((at, source))
    return _arranged(ranked, result)


def _arranged(ranked: Ranked, chosen: Sequence[tuple[int, Source | None]]) -> list[Arranged]:
    ats = [at for at, _ in chosen]
    places, values = ranked.places[ats], ranked.values[ats].tolist()
    found = zip(places.tolist(), values, chosen, ranked.sources(places), strict=True)
    return [Arranged(place, value, source or first) for place, value, (_, source), first in found]


def _chosen(done: float, free: int, left: "_Left", shares: Sequence["_Share"]) -> tuple[int, Source | None]:
    """Which of the ranked comes next, and the source to name where it is not the first that proposed it.

    done: how much of the list there is with this position, above 0, up to 1.
    free: positions that are not taken yet, this one among them.
    """
    if sum(share.missing for share in shares) < free and all(share.behind(done) < 1 for share in shares):
        return left.best(), None  # as nearly always: nothing has to be counted
    needs = [share.needs(left) for share in shares]
    # Where what all sources need takes all that is left of the list, nothing else may come any more.
    late = sum(needs) >= free
    due = [share for share, need in zip(shares, needs, strict=True) if need and (late or share.behind(done) >= 1)]
    if due:
        share = max(due, key=lambda one: one.behind(done))
        return share.best(left), share.source
    return left.best(), None


def _note(at: int, left: "_Left", shares: Sequence["_Share"]) -> None:
    left.take(at)
    for share in shares:
        share.take(at)


def _promoted(asked: Asked, ranked: Ranked, k: int, left: "_Left") -> Mapping[int, int]:
    """Position -> which of the ranked stands there; where several rules want one, the later get the next ones."""
    view, result = asked.view, dict[int, int]()
    if not len(ranked.promoted):
        return result
    allowed = _Left(asked, ranked, left.unlikeness)
    for rule in view.placement.rules:
        if rule.then != "promote" or rule.position is None or not rule.is_in_force(view.now):
            continue
        position = next((free for free in range(rule.position, k + 1) if free not in result), None)
        found = np.flatnonzero(allowed.allowed() & holds_at(rule.when, view.assortment, ranked.places))
        if position is not None and len(found):
            result[position] = int(found[0])
            allowed.count(int(found[0]))
    return result


def _proposed(ranked: Ranked) -> BoolArray:
    """Which of the ranked are there not for a rule alone, and so may stand anywhere."""
    if not len(ranked.promoted):
        return np.ones(len(ranked.places), np.bool_)
    proposed = np.zeros(int(ranked.places.max()) + 1, np.bool_)
    for one in (*ranked.proposed, *ranked.others):
        proposed[one.places] = True
    return proposed[ranked.places]


def _shares(asked: Asked, ranked: Ranked, k: int) -> list["_Share"]:
    found = zip(asked.view.placement.sources, ranked.proposed, strict=True)
    return [_Share(source.share * k, one, ranked.places) for source, one in found if source.share > 0 and len(one)]


class _Share:
    """What one source is owed.

    wanted: items, before they are rounded up.
    candidates: what it proposed; all of it was ranked.
    places: the ranked ones.
    """

    def __init__(self, wanted: float, candidates: Candidates, places: Int32Array) -> None:
        self.source = candidates.source
        self._wanted = math.ceil(wanted - _ROUNDING)
        order = np.argsort(places)
        self._at = order[np.searchsorted(places, candidates.places, sorter=order)]  # in the source's own order
        self._theirs = np.zeros(len(places), np.bool_)
        self._theirs[self._at] = True
        self._taken = 0

    @property
    def missing(self) -> int:
        """How many more items it is owed."""
        return max(0, self._wanted - self._taken)

    def needs(self, left: "_Left") -> int:
        """How many more items it is owed and has."""
        missing = self.missing
        return min(missing, int(np.count_nonzero(left.allowed() & self._theirs))) if missing else 0

    def behind(self, done: float) -> float:
        """By how many items it is behind where so much of the list is done."""
        return self._wanted * done - self._taken + _ROUNDING

    def best(self, left: "_Left") -> int:
        """The first of its own order that is left."""
        return int(self._at[np.argmax(left.allowed()[self._at])])

    def take(self, at: int) -> None:
        """That item is in the list now."""
        self._taken += int(self._theirs[at])


class _Left:
    """What is left of the ranked, and what caps still allow of it."""

    def __init__(self, asked: Asked, ranked: Ranked, unlikeness: Unlikeness) -> None:
        self.unlikeness = unlikeness
        self._caps = [_Capped(cap, asked, ranked.places) for cap in asked.view.placement.caps]
        self._allowed = np.ones(len(ranked.places), np.bool_)
        self._scored = int(np.count_nonzero(np.isfinite(ranked.values)))  # the first so many have a value

    def allowed(self) -> BoolArray:
        """Which of the ranked may come next, shape (n,)."""
        return self._allowed

    def best(self) -> int:
        """The next by value and unlikeness; what has no value comes when all that has one is gone."""
        scored = self._allowed[: self._scored]
        return self.unlikeness.best(scored) if scored.any() else int(np.argmax(self._allowed))

    def remove(self, items: BoolArray) -> None:
        """These may not come."""
        self._allowed &= ~items

    def count(self, at: int) -> None:
        """That item is in the list, as far as caps go."""
        self._allowed[at] = False
        for cap in self._caps:
            cap.take(at, self._allowed)

    def take(self, at: int) -> None:
        """That item is in the list now."""
        self.count(at)
        self.unlikeness.take(at)


class _Capped:
    """What one cap still allows; what has no name in its field it always does."""

    def __init__(self, cap: Cap, asked: Asked, places: Int32Array) -> None:
        names = asked.view.assortment.names(cap.field)
        self._most = cap.most
        self._codes: Int32Array = np.full(len(places), NO_NAME, np.int32) if names is None else names.first[places]
        self._taken: Counter[int] = Counter()

    def take(self, at: int, allowed: BoolArray) -> None:
        """Count one that is in the list now, and forbid its like where they are too many."""
        code = int(self._codes[at])
        if code == NO_NAME:
            return
        self._taken[code] += 1
        if self._taken[code] >= self._most:
            allowed &= self._codes != code
