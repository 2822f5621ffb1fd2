"""The int8 index: every item is scored by its code of eight bits a number, and the best of them again in float32.

A quarter of the bytes of the matrix are read. It needs no training beyond the range of each number, and misses nothing
that we could measure; what it gains depends on how far memory is behind arithmetic (docs/retrieval.md).
"""

from typing import Any, Final

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int64Array
from serving.candidates import Candidates
from serving.indexes.codes import add_all, best_eligible, code_dim, faiss, fetched, filled_up, one_thread
from serving.indexes.item_matrix import ItemMatrix

_SELECTIVE = 8  # where fewer than one of so many items is eligible, those alone are scored, in float32
_FEW = 2_000  # eligible items; so many are scored in float32 before a search has begun


class Int8Index:
    """A scalar quantiser of FAISS over a matrix.

    matrix: what is found is scored by it.
    codes: a `faiss.IndexScalarQuantizer` of its rows.
    """

    kind: Final = "int8"
    __slots__ = ("codes", "matrix")

    def __init__(self, matrix: ItemMatrix, codes: Any) -> None:
        self.matrix, self.codes = matrix, codes

    @classmethod
    def of(cls, vectors: Float32Array) -> "Int8Index":
        """The index of these vectors, which are kept."""
        one_thread()
        matrix = ItemMatrix.of(vectors)
        codes = faiss.IndexScalarQuantizer(
            code_dim(matrix.dim), faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        # The range of each number, from its least to its largest: two rows say it as well as all of them do.
        codes.train(filled_up(np.stack([vectors.min(axis=0), vectors.max(axis=0)])))
        add_all(codes, vectors)
        return cls(matrix, codes)

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it."""
        self.matrix.require(query, k, eligible)
        there = int(np.count_nonzero(eligible))
        if there <= max(_FEW, len(self.matrix) // _SELECTIVE):
            return self.matrix.best(np.flatnonzero(eligible).astype(np.int32), query, k)
        one_thread()
        asked = filled_up(query[None])

        def search(wanted: int, only: Any) -> Int64Array:
            settings = None if only is None else faiss.SearchParameters(sel=only)
            labels: Int64Array = self.codes.search(asked, wanted, params=settings)[1]
            return labels

        return self.matrix.best(best_eligible(search, fetched(k, there), eligible, there), query, k)
