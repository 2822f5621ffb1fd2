"""The exact index: every eligible item is scored in float32. The judge of faster ones, and what answers before them."""

from typing import Final

import numpy as np

from feature_store.arrays import BoolArray, Float32Array
from serving.candidates import Candidates
from serving.indexes.item_matrix import ItemMatrix
from serving.indexes.scans import best_of_all

_SELECTIVE = 6  # where fewer than one of so many items is eligible, those alone are scored


class ExactIndex:
    """The matrix itself."""

    kind: Final = "exact"
    __slots__ = ("matrix",)

    def __init__(self, vectors: Float32Array) -> None:
        self.matrix = ItemMatrix.of(vectors)

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it, exactly."""
        query, eligible = self.matrix.question(query, k, eligible)
        there = int(np.count_nonzero(eligible))
        if there > len(self.matrix) // _SELECTIVE:
            return Candidates(*best_of_all(self.matrix.vectors, query, eligible, min(k, there)), "personal")
        return self.matrix.best(np.flatnonzero(eligible).astype(np.int32), query, k)
