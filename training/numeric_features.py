"""Numbers of items, such as a price, as features: standardised, and the range that each falls into."""

import numpy as np

from feature_store.arrays import Float32Array, Float64Array


def standardised(values: Float64Array) -> Float32Array:
    """Mean 0 and standard deviation 1 over the items that have a number, 0 for the others; shape (items,).

    Where no number is negative their logarithms log(1 + x) are taken: prices spread by factors, not by differences.
    A column whose numbers are all the same says nothing, and is 0.

    values: NaN where an item has none.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values), np.float32)
    found = values[known]
    scaled = np.log1p(found) if found.min() >= 0 else found
    spread = scaled.std()
    result = np.zeros(len(values), np.float32)
    result[known] = (scaled - scaled.mean()) / spread if spread > 1e-9 * max(1.0, float(np.abs(scaled).max())) else 0.0
    return result


def bucket_names(values: Float64Array, buckets: int) -> list[tuple[str, ...]]:
    """The range of each item's number, as a name; none for an item without a number.

    Ranges hold about the same number of items; equal numbers are in one range, so that there may be fewer.

    >>> bucket_names(np.array([1, 5, np.nan, 2, 9]), 2)
    [('0',), ('1',), (), ('0',), ('1',)]
    """
    known = np.isfinite(values)
    if not known.any() or buckets < 2:
        return [()] * len(values)
    bounds = np.unique(np.quantile(values[known], np.linspace(0, 1, buckets + 1)[1:-1]))
    numbers = np.searchsorted(bounds, np.nan_to_num(values), side="left")
    return [(str(number),) if there else () for number, there in zip(numbers.tolist(), known.tolist(), strict=True)]
