"""Terms: what one person adds to each of the three sums, of length at most 1 whoever it is.

    counts   x / |x|                              x the 0/1 history over all items, so |x| = √n
    gram     w · upper triangle of y yᵀ           y = x − expected over the m most met items, w one over its length
    along    w · y (Vᵀy)ᵀ                         V directions in the space of those items, w one over its length

The length of a term is its Euclidean norm over all numbers of the sum: adding or removing a person's whole history
moves the sum by no more. A person's term is not cut off at 1 but brought to 1, as whoever adds less than the bound
pays for noise that is sized for more. The norm of the upper triangle of y yᵀ, diagonal included, follows from y
alone:

    Σ_{i≤j} (y_i y_j)² = ((Σ y_i²)² + Σ y_i⁴) / 2

so many people's terms are one matrix product of their y, each scaled by √w, and no term is ever written out.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array
from training.privacy.centring import expected

BOUND = 1 - 1e-5
"""What a term measures in exact numbers: with the errors of float32 it is still no longer than 1."""

_AT_ONCE = 512  # people whose y are in memory together: 3 MB for 1,500 items


def count_terms(histories: Sequence[Int32Array], items: int) -> Float32Array:
    """The sum of the people's count terms, shape (items,).

    histories: distinct item rows of each person; who has none adds nothing.
    """
    total = np.zeros(items)
    for rows in histories:
        total[rows] += BOUND / np.sqrt(max(len(rows), 1))
    return total.astype(np.float32)


def gram_terms(
    histories: Sequence[Int32Array], items: int, chosen: Int32Array, popularity: Float64Array
) -> Float32Array:
    """The sum of the people's gram terms, shape (m (m + 1) / 2,): the upper triangle, row after row.

    Args:
        histories: as above.
        items: in the vocabulary.
        chosen: rows of the m items, distinct.
        popularity: of those, > 0, shape (m,).
    """
    total = np.zeros((len(chosen), len(chosen)), np.float32)
    for apart in _apart(histories, items, chosen, popularity):
        squares = np.square(apart, dtype=np.float64)
        lengths = np.sqrt((squares.sum(axis=1) ** 2 + np.square(squares).sum(axis=1)) / 2)
        scaled = (apart * np.sqrt(_to_the_bound(lengths))[:, None]).astype(np.float32)
        total += scaled.T @ scaled
    upper: Float32Array = total[np.triu_indices(len(chosen))]
    return upper


def along_terms(
    histories: Sequence[Int32Array],
    items: int,
    chosen: Int32Array,
    popularity: Float64Array,
    directions: Float32Array,
) -> Float32Array:
    """The sum of the people's terms along directions, shape (m, d).

    Args:
        histories: as above.
        items: likewise.
        chosen: likewise.
        popularity: likewise.
        directions: V, shape (m, d).
    """
    total = np.zeros(directions.shape, np.float32)
    for apart in _apart(histories, items, chosen, popularity):
        along = apart @ directions
        lengths = np.sqrt(
            np.square(apart, dtype=np.float64).sum(axis=1) * np.square(along, dtype=np.float64).sum(axis=1)
        )
        total += apart.T @ (along * _to_the_bound(lengths)[:, None]).astype(np.float32)
    return total


def _apart(
    histories: Sequence[Int32Array], items: int, chosen: Int32Array, popularity: Float64Array
) -> Iterator[Float32Array]:
    """Y of the people, some at a time, shape (people, m)."""
    place = np.full(items, -1, np.int32)
    place[chosen] = np.arange(len(chosen), dtype=np.int32)
    for first in range(0, len(histories), _AT_ONCE):
        people = range(first, min(first + _AT_ONCE, len(histories)))
        met = np.zeros((len(people), len(chosen)), np.float32)
        for row, person in enumerate(people):
            among = place[histories[person]]
            met[row, among[among >= 0]] = 1
        yield met - expected(popularity, met.sum(axis=1).astype(np.int64))


def _to_the_bound(lengths: Float64Array) -> Float64Array:
    """What brings terms of these lengths to `BOUND`; 0 for a term that is none."""
    return np.divide(BOUND, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def symmetric(upper: Float32Array, size: int) -> Float64Array:
    """The symmetric matrix with that upper triangle, shape (size, size)."""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = upper
    return matrix + np.triu(matrix, 1).T
