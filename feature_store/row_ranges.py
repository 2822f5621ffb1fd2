"""Row ranges: which rows of the vocabulary belong to which catalogue.

Rows are never renumbered and a vocabulary grows at its end, so a catalogue that grows is several ranges of rows.

>>> catalogues = {"films": ((0, 3), (5, 6)), "books": ((3, 5),)}
>>> require_partition(catalogues, items=6)
>>> rows_of(catalogues["films"]).tolist()
[0, 1, 2, 5]
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from feature_store.arrays import Int32Array
from feature_store.errors import BadInput

RowRanges: TypeAlias = tuple[tuple[int, int], ...]
"""(first row, row after the last) of each range."""

Catalogues: TypeAlias = Mapping[str, RowRanges]
"""Vertical -> the rows of its items."""


def one_catalogue(vertical: str, items: int) -> Catalogues:
    """All rows belong to one vertical."""
    return {vertical: ((0, items),)}


def item_count(ranges: RowRanges) -> int:
    """How many rows there are in the ranges."""
    return sum(stop - start for start, stop in ranges)


def rows_of(ranges: RowRanges) -> Int32Array:
    """The rows in the ranges, ascending."""
    return np.concatenate([np.empty(0, np.int32), *(np.arange(*r, dtype=np.int32) for r in sorted(ranges))])


def require_partition(catalogues: Catalogues, items: int) -> None:
    """Raise `BadInput` unless each of the rows 0 to items − 1 belongs to exactly one named catalogue."""
    if not all(name.strip() for name in catalogues):
        raise BadInput("a catalogue of a checkpoint is named by its vertical; one of the names is empty")
    expected = 0
    for start, stop, name in sorted((*span, name) for name, ranges in catalogues.items() for span in ranges):
        if start != expected or stop <= start:
            raise BadInput(
                f"each of the {items} rows belongs to one catalogue; those of {name!r} go from {start} to {stop}, "
                f"where a range from {expected} on is due"
            )
        expected = stop
    if expected != items:
        raise BadInput(f"the catalogues {dict(catalogues)} do not add up to the {items} items of the vocabulary")
