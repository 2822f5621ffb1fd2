"""Choosing: which of the ranked items stands at which position of a list, in loops that are compiled.

Of what is left and no cap forbids, a position gets the first of a source that is behind its share, else the best: by
value, or, where the list is to be diverse, by value and by unlikeness to what is chosen already.

Maximal marginal relevance (Carbonell and Goldstein 1998): with w the weight of diversity, the next is the maximum of

    (1 - w) · value − w · max_j cos(item, j)        j over the items chosen

A cosine is at least -1 and the maximum only grows. So no item's worth is above (1 - w) · value + w, nor above what it
was when it was looked at last, and most items need not be looked at to know that they are not the best.

Determinantal point process (Kulesza and Taskar 2012, section 2.4; greedy MAP by Chen et al. 2018, algorithm 1): with
L_ij = 0.99 g_i cos(i, j) g_j, L_ii = g_i², g_i = exp(θ value_i / 2), the next is what adds most to log det L of those
chosen. θ = 4 (1 − w)/w falls from 60, where the list is by value, to 0 at w = 1, where it is by unlikeness. The 0.99 is
ours: each item has a little of its own, so that a list may be longer than vectors have numbers, and hold two items of
one vector.

Values are brought to 0..1 over what is ranked. Cosines are those of the items' own vectors; an item that the model does
not know is unlike every other. What has no value comes when all that has one is gone.
"""

import math
from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.compiled import compiled_for, inner, read, written
from serving.assortment.columns import NO_NAME

BY_VALUE, MMR, DPP = 0, 1, 2
"""What the best is chosen by."""
BEST, PROMOTED = -1, -2
"""Why an item stands at its position, where no source's share is the reason."""
ROUNDING = 1e-9
"""By how much a share of a list may miss a whole number: shares are floats, and 0.2 of 5 is one item, not more."""

_SCALE, _STEEPEST = 4.0, 60.0  # of θ; e^60 is the largest quality, and float64 carries its square
_SHARED = 0.99  # of two items of one vector


class _Own(NamedTuple):
    """The items' own vectors: places (n,), vectors (known, numbers), lengths (known,), and how many numbers count."""

    places: Int32Array
    vectors: Float32Array
    lengths: Float32Array
    dim: int


class _Left(NamedTuple):
    """What is left, and what was taken.

    allowed: which may still come, shape (n,).
    order: in which items were taken, shape (k,); the first so many of it say something.
    codes, most: of caps, shapes (caps, n) and (caps,).
    theirs: of each source which of the ranked it proposed, shape (sources, n).
    taken: of each source's items, shape (sources,).
    """

    allowed: BoolArray
    order: Int32Array
    codes: Int32Array
    most: Int64Array
    theirs: BoolArray
    taken: Int64Array


class _Worth(NamedTuple):
    """What items are worth.

    alone: (1 - w) · value, or for a DPP its quality g, shape (n,).
    seen, nearest: to how many of those taken an item was held, and the largest cosine so far, shape (scored,); MMR.
    gain, steps: d² of each item, shape (n,), and e of each step, shape (k, n), as of what is left; DPP.
    """

    method: int
    weight: float
    alone: Float64Array
    seen: Int32Array
    nearest: Float32Array
    gain: Float64Array
    steps: Float64Array


class _Shares(NamedTuple):
    """at, first, owed: as `choose` has them."""

    at: Int32Array
    first: Int64Array
    owed: Int64Array


@inner
def _scored(values: Float64Array) -> int:
    """How many have a value; they are the first."""
    count = 0
    while count < len(values) and values[count] > -np.inf:
        count += 1
    return count


@inner
def _worth(values: Float64Array, k: int, method: int, weight: float) -> _Worth:
    """At the beginning. Values are brought to 0..1; all are 1 where they are equal."""
    n, scored = len(values), _scored(values)
    theta = min(_SCALE * (1 - weight) / weight, _STEEPEST) if method == DPP else 0.0
    low = values[scored - 1] if scored else 0.0
    spread = values[0] - low if scored else 0.0
    alone = np.zeros(n)
    for item in range(n):
        unit = 0.0
        if item < scored:
            unit = (values[item] - low) / spread if spread > 0 else 1.0
        alone[item] = math.exp(theta * unit / 2) if method == DPP else (1 - weight) * unit
    steps = np.empty((n, k if method == DPP else 0))
    return _Worth(method, weight, alone, np.zeros(scored, np.int32), np.empty(scored, np.float32), alone * alone, steps)


@inner
def _left(n: int, k: int, codes: Int32Array, most: Int64Array, shares: _Shares) -> _Left:
    """At the beginning, with nothing taken."""
    theirs = np.zeros((len(shares.owed), n), np.bool_)
    for source in range(len(shares.owed)):
        for one in range(shares.first[source], shares.first[source + 1]):
            theirs[source, shares.at[one]] = True
    taken = np.zeros(len(shares.owed), np.int64)
    return _Left(np.ones(n, np.bool_), np.empty(k, np.int32), codes, most, theirs, taken)


@inner
def _cosine(one: int, other: int, own: _Own) -> float:
    """Of two items' own vectors; 0 where the model does not know one of them, or its vector is zero."""
    first, second, product = own.places[one], own.places[other], 0.0
    if first >= len(own.vectors) or second >= len(own.vectors):
        return 0.0
    a, b = own.vectors[first], own.vectors[second]
    for j in range(own.dim):
        product += np.float64(a[j]) * np.float64(b[j])  # of long vectors it is no number of 32 bits
    both = np.float64(own.lengths[first]) * np.float64(own.lengths[second])
    return product / both if both > 0 else 0.0


@inner
def _project(item: int, count: int, allowed: BoolArray, worth: _Worth, own: _Own) -> None:
    """Take what one more item leaves of the others' gains: e_i of the algorithm, and d_i² less its square."""
    root = math.sqrt(worth.gain[item])
    for other in range(len(allowed)):
        if allowed[other]:
            row = _SHARED * worth.alone[other] * _cosine(other, item, own) * worth.alone[item]
            for step in range(count):
                row -= worth.steps[item, step] * worth.steps[other, step]
            worth.steps[other, count] = row / root
            worth.gain[other] -= worth.steps[other, count] ** 2


@inner
def _take(item: int, count: int, left: _Left, worth: _Worth, own: _Own) -> None:
    """That item is in the list now: it counts for its sources' shares, and for caps, which may forbid its like.

    count: items that were taken before it.
    """
    left.order[count] = item
    left.allowed[item] = False
    for source in range(len(left.taken)):
        left.taken[source] += left.theirs[source, item]
    for cap in range(len(left.most)):
        codes, code, alike = left.codes[cap], left.codes[cap, item], 0
        if code == NO_NAME:
            continue
        for one in range(count + 1):
            alike += codes[left.order[one]] == code
        if alike >= left.most[cap]:
            for other in range(len(codes)):
                left.allowed[other] = left.allowed[other] and codes[other] != code
    if worth.method == DPP:
        _project(item, count, left.allowed, worth, own)


@inner
def _next(allowed: BoolArray, start: int, stop: int) -> int:
    """The first that is left of some, -1 for none."""
    for item in range(start, stop):
        if allowed[item]:
            return item
    return -1


@inner
def _most_relevant(count: int, left: _Left, worth: _Worth, own: _Own) -> int:
    """The next by MMR, -1 where nothing with a value is left; `seen` and `nearest` are brought up to date."""
    found, best = -1, -np.inf
    for item in range(len(worth.seen)):
        if worth.alone[item] + (worth.weight if count else 0.0) <= best:
            break
        if not left.allowed[item]:
            continue
        if worth.seen[item] and worth.alone[item] - worth.weight * worth.nearest[item] <= best:
            continue
        for one in range(worth.seen[item], count):
            likeness = _cosine(item, left.order[one], own)
            worth.nearest[item] = likeness if one == 0 else max(worth.nearest[item], likeness)
        worth.seen[item] = count
        mine = worth.alone[item] - (worth.weight * worth.nearest[item] if count else 0.0)
        if mine > best:
            found, best = item, mine
    return found


@inner
def _best(count: int, left: _Left, worth: _Worth, own: _Own) -> int:
    """The next by value and unlikeness, -1 where nothing is left; what has no value comes last."""
    scored, found = len(worth.seen), -1
    if worth.method == MMR:
        found = _most_relevant(count, left, worth, own)
    elif worth.method == DPP:
        for item in range(scored):
            if left.allowed[item] and (found < 0 or worth.gain[item] > worth.gain[found]):
                found = item
    else:
        found = _next(left.allowed, 0, scored)
    return found if found >= 0 else _next(left.allowed, scored, len(left.allowed))


@inner
def _due(done: float, free: int, shares: _Shares, left: _Left) -> int:
    """The source whose share this position is, -1 for none's.

    done: how much of the list there is with this position; free: positions not taken yet, this one among them.
    """
    missing, is_behind = 0, False
    for source in range(len(shares.owed)):
        missing += max(0, shares.owed[source] - left.taken[source])
        is_behind = is_behind or shares.owed[source] * done - left.taken[source] + ROUNDING >= 1
    if missing < free and not is_behind:
        return -1  # as nearly always: nothing has to be counted
    needs = np.zeros(len(shares.owed), np.int64)
    for source in range(len(needs)):
        wanted = max(0, shares.owed[source] - left.taken[source])
        for one in range(shares.first[source], shares.first[source + 1]):
            needs[source] += needs[source] < wanted and left.allowed[shares.at[one]]
    is_late = needs.sum() >= free  # what all sources need takes all that is left of the list: nothing else may come
    found, furthest = -1, -np.inf
    for source in range(len(needs)):
        behind = shares.owed[source] * done - left.taken[source] + ROUNDING
        if needs[source] and (is_late or behind >= 1) and behind > furthest:
            found, furthest = source, behind
    return found


@inner
def _of_source(source: int, shares: _Shares, allowed: BoolArray) -> int:
    """The first of a source's own order that is left; there is one."""
    for one in range(shares.first[source], shares.first[source + 1]):
        if allowed[shares.at[one]]:
            return int(shares.at[one])
    return -1


@inner
def _promote(
    holds: BoolArray,
    wanted_at: Int64Array,
    chosen: Int32Array,
    reasons: Int32Array,
    left: _Left,
    worth: _Worth,
    own: _Own,
) -> int:
    """Put the best item of each rule at its position, or at the next that is free; how many were."""
    count = 0
    for rule in range(len(wanted_at)):
        position = wanted_at[rule] - 1
        while position < len(chosen) and chosen[position] >= 0:
            position += 1
        if position >= len(chosen):
            continue
        for item in range(len(left.allowed)):
            if left.allowed[item] and holds[rule, item]:
                chosen[position], reasons[position] = item, PROMOTED
                _take(item, count, left, worth, own)
                count += 1
                break
    return count


@inner
def _keep_proposed(shares: _Shares, proposed: int, allowed: BoolArray) -> None:
    """Allow nothing that is there for a rule alone."""
    if proposed == len(shares.at):
        return
    anywhere = np.zeros(len(allowed), np.bool_)
    for one in range(proposed):
        anywhere[shares.at[one]] = True
    for item in range(len(allowed)):
        allowed[item] = allowed[item] and anywhere[item]


@compiled_for(
    read(np.float64),
    read(np.int32),
    read(np.float32, 2),
    read(np.float32),
    np.int64,
    np.int64,
    np.float64,
    read(np.int32, 2),
    read(np.int64),
    read(np.int32),
    read(np.int64),
    read(np.int64),
    np.int64,
    read(np.bool_, 2),
    read(np.int64),
    written(np.int32),
    written(np.int32),
)
def choose(
    values: Float64Array,
    places: Int32Array,
    vectors: Float32Array,
    lengths: Float32Array,
    dim: int,
    method: int,
    weight: float,
    codes: Int32Array,
    most: Int64Array,
    at: Int32Array,
    first: Int64Array,
    owed: Int64Array,
    proposed: int,
    holds: BoolArray,
    wanted_at: Int64Array,
    chosen: Int32Array,
    reasons: Int32Array,
) -> int:
    """Fill a list of len(chosen) positions; how many it has in the end.

    Args:
        values: of the ranked items, shape (n,), never rising; -inf of what has none.
        places: theirs, shape (n,); those from len(vectors) on are of items that the model does not know.
        vectors: of what the model knows, shape (known, numbers).
        lengths: of its own vectors, shape (known,).
        dim: numbers of the own vectors.
        method: `BY_VALUE`, `MMR` or `DPP`.
        weight: of diversity, above 0 and up to 1; nothing depends on it by value.
        codes: of each cap its field's name of each item, shape (caps, n).
        most: of each cap how many of one name a list may have, shape (caps,).
        at: which of the ranked each source proposed, in its own order, one source after the other.
        first: where each source's begin in `at`, and where the last one's end, shape (sources + 1,).
        owed: items that each source is owed, shape (sources,).
        proposed: how many of `at` may stand anywhere; what is behind them is there for rules alone.
        holds: of each rule that promotes, for which of the ranked it holds, shape (rules, n).
        wanted_at: the position from 1 that each of them wants, shape (rules,).
        chosen: which of the ranked stand in the list, written.
        reasons: `BEST`, `PROMOTED`, or the number of the source whose share it is, written.
    """
    k, n = len(chosen), len(values)
    own, shares = _Own(places, vectors, lengths, dim), _Shares(at, first, owed)
    left, worth = _left(n, k, codes, most, shares), _worth(values, k, method, weight)
    chosen[:] = -1
    count = _promote(holds, wanted_at, chosen, reasons, left, worth, own)
    _keep_proposed(shares, proposed, left.allowed)
    free, length = k - count, 0
    for position in range(k):
        if chosen[position] >= 0:
            chosen[length], reasons[length] = chosen[position], PROMOTED
            length += 1
            continue
        source = _due((position + 1) / k, free, shares, left)
        item = _best(count, left, worth, own) if source < 0 else _of_source(source, shares, left.allowed)
        free -= 1
        if item >= 0:
            _take(item, count, left, worth, own)
            count += 1
            chosen[length], reasons[length] = item, source
            length += 1
    return length
