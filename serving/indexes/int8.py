"""The int8 index: every item is scored by its code of eight bits a number, and the best of them again in float32.

A quarter of the bytes of the matrix are read. It needs no training beyond the range of each number, and misses nothing
that we could measure; what it gains depends on how far memory is behind arithmetic (docs/retrieval.md).
"""

from typing import Final

import numpy as np

from feature_store.arrays import BoolArray, Float32Array
from serving.candidates import Candidates
from serving.indexes.item_matrix import ItemMatrix
from serving.indexes.lists import Lists

_SELECTIVE = 16  # where fewer than one of so many items is eligible, those alone are scored, in float32
_FEW = 2_000  # eligible items; so many are scored in float32 before a search has begun


class Int8Index:
    """The codes of a matrix.

    matrix: what is found is scored by it.
    lists: a single one, of its rows.
    """

    kind: Final = "int8"
    __slots__ = ("lists", "matrix")

    def __init__(self, matrix: ItemMatrix, lists: Lists) -> None:
        self.matrix, self.lists = matrix, lists

    @classmethod
    def of(cls, vectors: Float32Array) -> "Int8Index":
        """The index of these vectors, which are kept."""
        matrix = ItemMatrix.of(vectors)
        return cls(matrix, Lists.of(matrix, np.zeros(len(matrix), np.int64), count=1))

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it."""
        query, eligible = self.matrix.question(query, k, eligible)
        there = int(np.count_nonzero(eligible))
        if there <= max(_FEW, len(self.matrix) // _SELECTIVE):
            return self.matrix.best(np.flatnonzero(eligible).astype(np.int32), query, k)
        return self.lists.search(self.matrix, query, k, eligible, there, reach=len(self.matrix))
