"""Candidate retrieval: the k items whose vectors have the largest product with a query vector."""

from typing import Protocol

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from feature_store.errors import BadInput
from serving.candidates import Candidates, best_of

_SELECTIVE = 8  # where fewer than one of so many items is eligible, those alone are scored


class ItemIndex(Protocol):
    """What every index of item vectors promises."""

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """The best items for a query, from the source "personal".

        Args:
            query: float32, shape (dim,), finite.
            k: how many, at least 1.
            eligible: which items may come back, shape (items,).

        Returns:
            min(k, eligible items) items, best first; of equal scores the lower row is first.
        """
        ...


class ExactIndex:
    """Every item is scored: one matrix-vector product (BLAS) and a partial sort. The judge of faster ones.

    item_vectors: Q, float32, shape (items, dim); kept, not copied.
    """

    __slots__ = ("_item_vectors",)

    def __init__(self, item_vectors: Float32Array) -> None:
        if item_vectors.ndim != 2 or item_vectors.dtype != np.float32:
            raise BadInput(
                f"an index takes float32 vectors of shape (items, dim); got {item_vectors.dtype} {item_vectors.shape}"
            )
        self._item_vectors = item_vectors

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it, exactly."""
        items, dim = self._item_vectors.shape
        if query.shape != (dim,) or query.dtype != np.float32:
            raise BadInput(f"this index takes float32 queries of shape ({dim},); got {query.dtype} {query.shape}")
        if k < 1:
            raise BadInput(f"retrieval takes k >= 1; got {k}")
        rows: Int32Array = np.flatnonzero(eligible).astype(np.int32)
        if _SELECTIVE * len(rows) < items:
            scores: Float32Array = self._item_vectors[rows] @ query
        else:
            scores = (self._item_vectors @ query)[rows]
        return best_of(rows, scores, k, "personal")
