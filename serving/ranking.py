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
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float64Array, Int32Array, Int64Array
from feature_store.compiled import compiled_for, inner, read, written
from serving.candidates import Candidates, nothing
from serving.placements.conditions import holds_at
from serving.sources.asked import Asked
from serving.sources.known import scores
from serving.view import View

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 by the golden ratio


class Ranked(NamedTuple):
    """Distinct candidates, best first.

    places: shape (n,).
    values: what they are ranked by, shape (n,), never rising; of what the judge has no score -inf.
    lists: of each source of the placement, in their order, its candidates; then those that fill a list for which the
        sources have too few; last those that rules promote.
    came_from: the first of these that has each, shape (n,).
    at: where the candidates of all of them are ranked, in their own orders, one list after the other.
    first: where each list's begin in `at`, and where the last one's end, shape (lists + 1,).
    """

    places: Int32Array
    values: Float64Array
    lists: Sequence[Candidates]
    came_from: Int32Array
    at: Int32Array
    first: Int64Array

    @property
    def promoted(self) -> Candidates:
        """Those that rules promote."""
        return self.lists[-1]


@inner
def _found(
    place: int, number: int, known: int, table: Int32Array, distinct: Int32Array, came_from: Int32Array
) -> tuple[int, int]:
    """Which of the distinct places that is, and how many there are; a new one has come from that list.

    table: open addressing, by multiplication (Knuth, The Art of Computer Programming 3, section 6.4); as long as a
        power of two, and half of it at least stays empty.
    """
    slot = int((np.uint64(place) * _GOLDEN) >> np.uint64(32)) & (len(table) - 1)
    while table[slot] != 0 and distinct[table[slot] - 1] != place:
        slot = (slot + 1) & (len(table) - 1)
    if table[slot] == 0:
        distinct[known], came_from[known] = place, number
        known += 1
        table[slot] = known
    return table[slot] - 1, known


@compiled_for(
    read(np.int32),
    read(np.int64),
    np.int64,
    written(np.int32),
    written(np.int32),
    written(np.int32),
)
def _merged(
    places: Int32Array,
    first: Int64Array,
    judge: int,
    distinct: Int32Array,
    came_from: Int32Array,
    at: Int32Array,
) -> int:
    """Each place once: those of the judge's list first, then those of all lists, in their order; how many there are.

    Args:
        places: of all lists; each list has a place once.
        first: where each list begins in them, shape (lists + 1,).
        judge: which list that is, -1 for none.
        distinct: the places, written.
        came_from: of each the first list that has it, written.
        at: of all lists' candidates which of the distinct ones they are, written.
    """
    size = 2
    while size < 2 * len(places):
        size *= 2
    table = np.zeros(size, np.int32)  # by a place's hash, one more than which of the distinct ones it is
    known = 0
    if judge >= 0:
        for one in range(first[judge], first[judge + 1]):
            _, known = _found(places[one], judge, known, table, distinct, came_from)
    for number in range(len(first) - 1):
        for one in range(first[number], first[number + 1]):
            at[one], known = _found(places[one], number, known, table, distinct, came_from)
            came_from[at[one]] = min(came_from[at[one]], number)
    return known


@compiled_for(
    read(np.float64),
    read(np.float64),
    read(np.int32),
    read(np.int32),
    read(np.int32),
    written(np.float64),
    written(np.int32),
    written(np.int32),
    written(np.int32),
)
def _sort(
    scores: Float64Array,
    factors: Float64Array,
    places: Int32Array,
    came_from: Int32Array,
    at: Int32Array,
    values: Float64Array,
    places_ranked: Int32Array,
    came_from_ranked: Int32Array,
    at_ranked: Int32Array,
) -> None:
    """Bring all into the order of falling values, which are written; of equal ones the first stays the first."""
    n = len(scores)
    falling = np.empty(n, np.float64)
    for one in range(n):
        score, factor = scores[one], factors[one]
        falling[one] = -(score / factor if score < 0 else score * factor) if score > -np.inf else np.inf
    order = np.argsort(falling, kind="mergesort")
    rank_of = np.empty(n, np.int32)
    for rank in range(n):
        one = order[rank]
        rank_of[one] = rank
        values[rank], places_ranked[rank], came_from_ranked[rank] = -falling[one], places[one], came_from[one]
    for one in range(len(at)):
        at_ranked[one] = rank_of[at[one]]


def rank(
    asked: Asked,
    proposed: Sequence[Candidates],
    promoted: Candidates | None = None,
    others: Sequence[Candidates] = (),
) -> Ranked:
    """All candidates, by falling value; of equal values as the judge has them, then as the sources come."""
    lists = (*proposed, *others, nothing("promoted") if promoted is None else promoted)
    first = np.array([0, *accumulate(map(len, lists))], np.int64)
    total, judge = int(first[-1]), _judging(asked, proposed)
    places, came_from, at = np.empty((3, total), np.int32)
    judged = _merged(np.concatenate([one.places for one in lists]), first, judge, places, came_from, at)
    places, came_from = places[:judged], came_from[:judged]
    scores = _scores(asked, lists[judge] if judge >= 0 else nothing("personal"), places)
    values = np.empty(judged)
    ranked, ranked_from, ranked_at = np.empty(judged, np.int32), np.empty(judged, np.int32), np.empty(total, np.int32)
    _sort(scores, value_factors(asked.view, places), places, came_from, at, values, ranked, ranked_from, ranked_at)
    return Ranked(ranked, values, lists, ranked_from, ranked_at, first)


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


def _judging(asked: Asked, proposed: Sequence[Candidates]) -> int:
    """Which of the sources has the scores that count, -1 where none has any, or where it has proposed nothing.

    It is then left to the person's own source, and where that cannot score either, nobody has a score.
    """
    judge = judge_of(asked)
    if judge == "personal" and asked.view.assortment.shelf is None:
        return -1
    kinds = [source.kind for source in asked.view.placement.sources]
    return kinds.index(judge) if judge in kinds and len(proposed[kinds.index(judge)]) else -1


def _scores(asked: Asked, judged: Candidates, places: Int32Array) -> Float64Array:
    """The judge's score of each of the places, -inf where it has none, shape (n,). What it proposed comes first."""
    values = np.full(len(places), -np.inf)
    values[: len(judged)] = judged.scores
    if judge_of(asked) == "personal" or not len(judged):  # its scores are of all that the model knows
        further = np.flatnonzero(places[len(judged) :] < asked.view.assortment.known) + len(judged)
        values[further] = scores(asked, places[further])
    return values
