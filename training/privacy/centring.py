"""Centring: what anybody with so many items is expected to have met, by what is popular alone.

That somebody met what everybody meets says little and takes up most of what one person may add. With the expectation
taken off, the same bound leaves room for what sets people apart: of somebody with five hundred items of MovieLens-1M
about half the square of the length goes.

An item of popularity t_i has been met by somebody of n items with probability 1 − exp(−τ t_i), τ such that these add
up to n: items picked in proportion to t until n different ones are there, in expectation. For few items it is
n·t_i/Σt, for many it saturates at 1.
"""

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int64Array

NEARLY_ALL = 0.95  # of the items: beyond, popularity says nothing any more
_STEPS, _CLOSE = 60, 1e-6


def expected(popularity: Float64Array, lengths: Int64Array) -> Float32Array:
    """The expectations for people of these numbers of items, shape (people, items); each row adds up to its number.

    Args:
        popularity: t > 0, in any unit, shape (items,).
        lengths: items each person met, from 0 to all of them, shape (people,).
    """
    items = len(popularity)
    different, place = np.unique(lengths, return_inverse=True)
    rows = np.empty((len(different), items), np.float32)
    many = different >= NEARLY_ALL * items
    rows[many] = (different[many] / items)[:, None]
    rows[~many] = -np.expm1(-_rates(popularity, different[~many])[:, None] * popularity)
    return rows[place]


def _rates(popularity: Float64Array, lengths: Int64Array) -> Float64Array:
    """τ of each length, by Newton's method from below: the sum is concave in τ, so that no step goes too far."""
    rates: Float64Array = lengths / popularity.sum()
    for _ in range(_STEPS):
        unmet = np.exp(-rates[:, None] * popularity)
        missing = lengths - (1 - unmet).sum(axis=1)
        if (np.abs(missing) <= _CLOSE * np.maximum(lengths, 1)).all():
            break
        rates += missing / (unmet @ popularity)
    return rates
