"""Terms: what one person adds to each of the two sums, of length at most 1 whoever it is.

    counts   x / |x|                              x the 0/1 history over all items, so |x| = √n
    gram     w · upper triangle of y yᵀ           y = x − expected over the m most met items, w one over its length

The length of a term is its Euclidean norm over all numbers of the sum: adding or removing a person's whole history
moves the sum by no more. A person's term is not cut off at 1 but brought to 1, as whoever adds less than the bound
pays for noise that is sized for more. The norm of the upper triangle of y yᵀ, diagonal included, follows from y
alone:

    Σ_{i≤j} (y_i y_j)² = ((Σ y_i²)² + Σ y_i⁴) / 2

so many people's terms are one matrix product of their y, each scaled by √w, and no term is ever written out.
"""

from collections.abc import Sequence

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
    place = np.full(items, -1, np.int32)
    place[chosen] = np.arange(len(chosen), dtype=np.int32)
    total = np.zeros((len(chosen), len(chosen)), np.float32)
    for first in range(0, len(histories), _AT_ONCE):
        people = [histories[person] for person in range(first, min(first + _AT_ONCE, len(histories)))]
        scaled = scaled_rows(people, place, popularity)
        total += scaled.T @ scaled
    upper: Float32Array = total[np.triu_indices(len(chosen))]
    return upper


def scaled_rows(people: Sequence[Int32Array], place: Int32Array, popularity: Float64Array) -> Float32Array:
    """√w y of these people, shape (people, m): the term of each is the upper triangle of its outer product with itself.

    place: of each item among the m, −1 for those that are none of them.
    """
    met = np.zeros((len(people), len(popularity)), np.float32)
    for person, rows in enumerate(people):
        among = place[rows]
        met[person, among[among >= 0]] = 1
    apart = met - expected(popularity, met.sum(axis=1).astype(np.int64))
    squares = np.square(apart, dtype=np.float64)
    lengths = np.sqrt((squares.sum(axis=1) ** 2 + np.square(squares).sum(axis=1)) / 2)
    weights = np.divide(BOUND, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    scaled: Float32Array = (apart * np.sqrt(weights)[:, None]).astype(np.float32)
    return scaled


def symmetric(upper: Float32Array, size: int) -> Float64Array:
    """The symmetric matrix with that upper triangle, shape (size, size)."""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = upper
    return matrix + np.triu(matrix, 1).T
