"""Which index suits a catalogue: the one that takes least time, by a rule whose numbers were measured.

The numbers are CPU time of one core of the machine in docs/retrieval.md, where `hearth bench retrieval` gives them anew
for another one. They are of lists of 300, as placements ask for them.
"""

import time
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from feature_store.arrays import Float32Array
from serving.indexes.item_index import ItemIndex, Kind

IndexName: TypeAlias = Literal["auto", "exact", "int8", "inverted"]

_SCANNED = 0.2e-3  # microseconds for a float32 number, of rows that lie side by side
_FETCHED = 0.8e-3  # of rows that lie scattered
_CODE = 0.085e-3  # for a number of a code
_LISTED = 0.17e-3  # of a code in one of many lists
_BEGUN = 50.0  # microseconds before a search by codes looks at the first of them, and after the last
_LOOKED_AT = 0.1  # of the items, for a recall of .99
_TRIED_WITH = 5  # queries of each kind
_ATTEMPTS = 3  # of a query; the best counts, as the processor may be others' meanwhile
_NOT_WORTH_BUILDING = 200.0  # microseconds: a request takes several times as long


def choose_index(items: int, dim: int, selectivity: float = 1.0, recall_target: float = 0.99) -> Kind:
    """The index to build.

    Args:
        items: rows.
        dim: numbers in a row.
        selectivity: the part of the items that is eligible, above 0 and up to 1.
        recall_target: of the best ten. At 1 nothing but the exact index will do.
    """
    expected = expected_microseconds(items, dim, selectivity, recall_target)
    if recall_target >= 1 or expected["exact"] <= _NOT_WORTH_BUILDING:
        return "exact"
    return min(expected, key=lambda kind: expected[kind])


def expected_microseconds(items: int, dim: int, selectivity: float, recall_target: float) -> dict[Kind, float]:
    """What one search takes, by each index. All of them score what is eligible row by row where that is less."""
    numbers = items * dim
    fetched = selectivity * numbers * _FETCHED
    missed = max(1 - recall_target, 1e-4)
    # As `serving.indexes.inverted` has it; the recall missed falls about with the square of what is looked at.
    looked_at = min(1.0, _LOOKED_AT * (0.01 / missed / selectivity) ** 0.5)
    return {
        "exact": min(numbers * _SCANNED, fetched),
        "int8": min(_BEGUN + numbers * _CODE, fetched),
        "inverted": min(_BEGUN + looked_at * numbers * _LISTED, fetched),
    }


def quickest(indexes: Sequence[ItemIndex], queries: Sequence[Float32Array], k: int, items: int) -> ItemIndex:
    """The one of these indexes that takes least, measured here and now: CPU time of all queries' searches for k.

    queries: by kind of people, shape (people, numbers) each; a few of each kind are asked.
    items: of each index; all are eligible.
    """
    asked = [query for kind in queries for query in kind[:_TRIED_WITH]]
    eligible = np.ones(items, np.bool_)

    def seconds(index: ItemIndex, query: Float32Array) -> float:
        taken = []
        for _ in range(_ATTEMPTS):
            begun = time.thread_time()
            index.retrieve(query, k, eligible)
            taken.append(time.thread_time() - begun)
        return min(taken)

    return min(indexes, key=lambda index: sum(seconds(index, query) for query in asked))
