"""The exact index: every eligible item is scored in float32. The judge of faster ones, and what answers before them."""

from typing import Final

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from serving.candidates import Candidates
from serving.indexes.item_matrix import ItemMatrix

_SELECTIVE = 8  # where fewer than one of so many items is eligible, those alone are scored
_FIRST, _BLOCK = 1_024, 16_384  # rows; their scores stay in the first cache until they were looked through


class ExactIndex:
    """One product of a matrix and a vector (BLAS), block by block; each block's best enter the best so far."""

    kind: Final = "exact"
    __slots__ = ("matrix",)

    def __init__(self, vectors: Float32Array) -> None:
        self.matrix = ItemMatrix.of(vectors)

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it, exactly."""
        self.matrix.require(query, k, eligible)
        if _SELECTIVE * np.count_nonzero(eligible) <= len(self.matrix):
            rows: Int32Array = np.flatnonzero(eligible).astype(np.int32)
        elif len(self.matrix) <= _BLOCK:
            rows = self._best_of_one(query, k, eligible)
        else:
            rows = self._best_of_blocks(query, k, eligible)
        return self.matrix.best(rows, query, k)

    def _best_of_one(self, query: Float32Array, k: int, eligible: BoolArray) -> Int32Array:
        """As `_best_of_blocks`, of so few rows that parts of them would not be quicker."""
        rows: Int32Array = np.flatnonzero(eligible).astype(np.int32)
        products = (self.matrix.vectors @ query)[rows]
        at = max(0, len(rows) - k)
        kept: Int32Array = rows[products >= np.partition(products, at)[at] - 2 * self.matrix.error(query)]
        return kept

    def _best_of_blocks(self, query: Float32Array, k: int, eligible: BoolArray) -> Int32Array:
        """Rows among which the k best eligible ones are, ascending."""
        error = self.matrix.error(query)
        rows, scores = np.empty(0, np.int32), np.empty(0, np.float32)
        least = -np.inf  # what a row must reach to be among the best of those seen so far
        first, block = 0, _FIRST  # small at first: all of them may have to be sorted
        while first < len(self.matrix):
            products = self.matrix.vectors[first : first + block] @ query
            found = np.flatnonzero((products >= least) & eligible[first : first + block])
            rows = np.concatenate([rows, (found + first).astype(np.int32)])
            scores = np.concatenate([scores, products[found]])
            if len(rows) > 2 * k:
                least = np.partition(scores, len(scores) - k)[len(scores) - k] - 2 * error
                kept = scores >= least
                rows, scores = rows[kept], scores[kept]
            first, block = first + block, min(2 * block, _BLOCK)
        return rows
