"""Scans: the compiled loops of a search, that score items and keep the best of them.

A score and a row are one number of 64 bits, a key: the better item has the smaller one, and of equal scores the lower
row. The best so far lie in a heap (Williams 1964) with the worst of them at its root, where the next has to get past
it. Nothing here looks whether a row is within an array: `ItemMatrix`, `Lists` and `Shelf`, which call it, do.

All of them stand in one file, as what compiled functions share has to.
"""

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.compiled import compiled_for, inner, read

_ROWS, _FLOATS, _VECTORS, _MASK = read(np.int32), read(np.float32), read(np.float32, 2), read(np.bool_)

_NONE = 2**63 - 1  # behind every key
_ROW = 2**32 - 1  # the bits of a key that say which row
_LEAST = -(2**31)  # of 32 bits, as the numbers below are the largest of some bits
_LARGEST_CODE, _LARGEST_WEIGHT, _LARGEST_SUM = 2**8 - 1, 2**15 - 1, 2**31 - 1
_AHEAD = 2.5  # standard deviations that the best of 150 normal numbers is above the mean
_AT_A_TIME = 512  # codes of a list of which is looked up whether they are eligible, before any is scored
_OF_THOSE_THERE = 0.9  # more of what is eligible is never looked for


@inner
def _put(heap: Int64Array, size: int, at: int, key: int) -> None:
    """Put a key at a place of a heap whose largest is at the root, or below it where larger ones are there."""
    child = 2 * at + 1
    while child < size:
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= key:
            break
        heap[at] = heap[child]
        at = child
        child = 2 * at + 1
    heap[at] = key


@inner
def _sorted(heap: Int64Array) -> None:
    """Sort a heap, smallest first."""
    for last in range(len(heap) - 1, 0, -1):
        key = heap[last]
        heap[last] = heap[0]
        _put(heap, last, 0, key)


@inner
def _ordered(number: np.float32) -> int:
    """32 bits that are in the order of float32 numbers; of two zeros the same."""
    bits = int(np.float32(number).view(np.int32))
    return bits if bits >= 0 else _LEAST - bits


@inner
def _key(number: np.float32, row: int) -> int:
    return -(_ordered(number) << 32) + row


@inner
def _score(key: int) -> np.float32:
    bits = -(key >> 32)
    return np.int32(bits if bits >= 0 else _LEAST - bits).view(np.float32)


@inner
def _product(vectors: Float32Array, row: int, query: Float64Array) -> np.float32:
    """Of a row and the query, summed in 64 bits and then rounded."""
    total = 0.0
    for number in range(len(query)):
        total += np.float64(vectors[row, number]) * query[number]
    return np.float32(total)


@inner
def _taken(heap: Int64Array) -> tuple[Int32Array, Float32Array]:
    """The rows and scores of a heap, best first."""
    _sorted(heap)
    rows, scores = np.empty(len(heap), np.int32), np.empty(len(heap), np.float32)
    for place in range(len(heap)):
        rows[place] = heap[place] & _ROW
        scores[place] = _score(heap[place])
    return rows, scores


@compiled_for(_VECTORS, _FLOATS, _ROWS, _ROWS, _FLOATS)
def scores_of(
    vectors: Float32Array, query: Float32Array, places: Int32Array, apart: Int32Array, added: Float32Array
) -> Float32Array:
    """The products of these vectors with the query, shape (n,), with what is added to those of some places.

    Args:
        vectors: shape (n, dim).
        query: shape (dim,).
        places: of the vectors, shape (n,).
        apart: places to whose products something is added, ascending, shape (m,).
        added: shape (m,).
    """
    wide = query.astype(np.float64)
    scores = np.empty(len(places), np.float32)
    for at in range(len(places)):
        scores[at] = _product(vectors, at, wide)
        among = np.searchsorted(apart, places[at])
        if among < len(apart) and apart[among] == places[at]:
            scores[at] += added[among]
    return scores


@compiled_for(_VECTORS, _FLOATS, _ROWS, np.int64)
def best_of_rows(
    vectors: Float32Array, query: Float32Array, rows: Int32Array, k: int
) -> tuple[Int32Array, Float32Array]:
    """The k best of these rows and their scores, best first; all where there are fewer.

    rows: each once.
    """
    wide = query.astype(np.float64)
    heap = np.full(min(k, len(rows)), _NONE)
    for place in range(len(rows)):
        key = _key(_product(vectors, rows[place], wide), rows[place])
        if key < heap[0]:
            _put(heap, len(heap), 0, key)
    return _taken(heap)


@compiled_for(_VECTORS, _FLOATS, _MASK, np.int64)
def best_of_all(
    vectors: Float32Array, query: Float32Array, eligible: BoolArray, k: int
) -> tuple[Int32Array, Float32Array]:
    """The k best eligible rows and their scores, best first. Every row is scored, as they lie side by side.

    k: at most as many as are eligible.
    """
    wide = query.astype(np.float64)
    heap = np.full(k, _NONE)
    for row in range(len(vectors)):
        key = _key(_product(vectors, row, wide), row)
        if key < heap[0] and eligible[row]:
            _put(heap, k, 0, key)
    return _taken(heap)


@compiled_for(_ROWS, _FLOATS, _ROWS, _MASK, _FLOATS, _VECTORS, _FLOATS, np.int64)
def best_of_both(
    found: Int32Array,
    scores: Float32Array,
    places: Int32Array,
    eligible: BoolArray,
    added: Float32Array,
    vectors: Float32Array,
    query: Float32Array,
    k: int,
) -> tuple[Int32Array, Float32Array]:
    """The k best of what was found, and of eligible other places with something added to their products.

    Args:
        found: places, shape (n,).
        scores: of those, shape (n,).
        places: others, shape (m,).
        eligible: by place.
        added: to the products of the others, shape (m,).
        vectors: of the others, shape (m, dim).
        query: shape (dim,).
        k: how many, all where there are fewer.
    """
    wide = query.astype(np.float64)
    others = 0
    for place in places:
        others += eligible[place]
    heap = np.full(min(k, len(found) + others), _NONE)
    for at in range(len(found)):
        key = _key(scores[at], found[at])
        if key < heap[0]:
            _put(heap, len(heap), 0, key)
    for at in range(len(places)):
        if eligible[places[at]]:
            key = _key(np.float32(_product(vectors, at, wide) + added[at]), places[at])
            if key < heap[0]:
                _put(heap, len(heap), 0, key)
    return _taken(heap)


@inner
def _weights(query: Float64Array, steps: Float64Array) -> np.ndarray:
    """What each number of a code counts, as large as 16 bits hold and a sum of 32 bits with any code."""
    largest, total = 0.0, 0.0
    for number in range(len(query)):
        weight = abs(query[number] * steps[number])
        largest = max(largest, weight)
        total += weight
    result = np.zeros(len(query), np.int16)
    if largest > 0:
        room = (_LARGEST_SUM - _LARGEST_CODE * len(query)) / _LARGEST_CODE  # each weight is rounded
        scale = min(_LARGEST_WEIGHT / largest, room / total)
        for number in range(len(query)):
            result[number] = np.int16(round(query[number] * steps[number] * scale))
    return result


@inner
def _by_promise(middles: Float32Array, spread: Float32Array, query: Float64Array) -> Int64Array:
    """The lists in a heap, the most promising at its root; of those that promise alike the first.

    A list promises what its best item is to have: its middle's product with the query, and some standard deviations of
    its items' products. The numbers of a vector are taken to vary each for itself.
    """
    narrow = query.astype(np.float32)
    heap = np.empty(len(spread), np.int64)
    for number in range(len(spread)):
        promise, variance = np.float32(0), np.float32(0)
        for at in range(len(narrow)):
            promise += middles[number, at] * narrow[at]
            away = spread[number, at] * narrow[at]
            variance += away * away
        heap[number] = -_key(np.float32(promise + np.float32(_AHEAD) * np.sqrt(variance)), number)
    for at in range(len(heap) // 2 - 1, -1, -1):
        _put(heap, len(heap), at, heap[at])
    return heap


@inner
def _of_proposals(proposed: Int64Array, vectors: Float32Array, query: Float64Array, k: int) -> Int64Array:
    """A heap of the k best by their products, of the rows of a heap in which k are at least."""
    heap = np.full(k, _NONE)
    for proposal in proposed:
        if proposal != _NONE:
            row = proposal & _ROW
            key = _key(_product(vectors, row, query), row)
            if key < heap[0]:
                _put(heap, k, 0, key)
    return heap


@compiled_for(
    read(np.uint8, 2),
    read(np.float64),
    _ROWS,
    read(np.int64),
    _VECTORS,
    _VECTORS,
    _VECTORS,
    _FLOATS,
    _MASK,
    np.int64,
    np.int64,
    np.int64,
    np.float64,
)
def best_of_lists(
    codes: np.ndarray,
    steps: Float64Array,
    rows: Int32Array,
    first: Int64Array,
    middles: Float32Array,
    spread: Float32Array,
    vectors: Float32Array,
    query: Float32Array,
    eligible: BoolArray,
    there: int,
    k: int,
    proposed: int,
    reach: float,
) -> tuple[Int32Array, Float32Array]:
    """The k best eligible rows by their products, of those that are the best by their codes.

    Lists are looked at from the most promising on, until they have held `reach` items and as many eligible ones as so
    many would have by chance. Where eligible items are rarer than that in what promises most, they also lie further
    away: more are wanted then, by the root of how much rarer (docs/retrieval.md).

    Args:
        codes: see `Lists`, as for the next five.
        steps: see there.
        rows: see there.
        first: see there.
        middles: see there.
        spread: see there.
        vectors: of the items, shape (items, dim).
        query: shape (dim,).
        eligible: by row.
        there: how many are eligible.
        k: how many, at most `proposed`.
        proposed: rows that are taken by their codes, at most `there`.
        reach: items to look at, eligible or not.
    """
    wide = query.astype(np.float64)
    largest = np.max(np.abs(wide))
    direction = wide / largest if largest > 0 else wide  # which lists and codes are best is a question of it alone
    weights = _weights(direction, steps)
    lists = _by_promise(middles, spread, direction)
    waiting = len(lists)
    heap = np.full(proposed, _NONE)
    least = np.int32(_LEAST)
    places = np.empty(_AT_A_TIME, np.int64)
    share = there / len(rows)
    held, met = 0, 0
    while waiting and (
        held < reach or met < k or met < min(_OF_THOSE_THERE * there, share * reach * np.sqrt(share * held / met))
    ):
        number = -lists[0] & _ROW
        waiting -= 1
        _put(lists, waiting, 0, lists[waiting])
        held += first[number + 1] - first[number]
        for begin in range(first[number], first[number + 1], _AT_A_TIME):
            found = 0
            for place in range(begin, min(begin + _AT_A_TIME, first[number + 1])):
                places[found] = place
                found += there == len(rows) or eligible[rows[place]]  # a branch would be taken by chance
            met += found
            for place in places[:found]:
                # Said to have 32 bits each time: numba takes 64 for a sum, for which there are no quick instructions.
                product = np.int32(0)
                for at in range(len(weights)):
                    product = np.int32(product + np.int32(codes[place, at]) * np.int32(weights[at]))
                if product >= least:
                    key = -(np.int64(product) << 32) + rows[place]
                    if key < heap[0]:
                        _put(heap, proposed, 0, key)
                        least = np.int32(_LEAST) if heap[0] == _NONE else np.int32(-(heap[0] >> 32))
    return _taken(_of_proposals(heap, vectors, wide, min(k, met)))
