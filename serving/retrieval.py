"""Candidate retrieval: the k items whose vectors have the largest product with a query vector."""

from typing import Protocol

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput
from serving.candidates import Candidates


class ItemIndex(Protocol):
    """What every index of item vectors promises."""

    def retrieve(self, query: Float32Array, k: int, excluded_rows: Int32Array) -> Candidates:
        """The best items for a query, from the source "personal".

        Args:
            query: float32, shape (dim,), finite.
            k: how many, at least 1.
            excluded_rows: rows that must not come back, in any order, repeats allowed.

        Returns:
            min(k, items that are not excluded) items, best first; of equal scores the lower row is first.
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

    def retrieve(self, query: Float32Array, k: int, excluded_rows: Int32Array) -> Candidates:
        """As `ItemIndex` has it, exactly."""
        items, dim = self._item_vectors.shape
        if query.shape != (dim,) or query.dtype != np.float32:
            raise BadInput(f"this index takes float32 queries of shape ({dim},); got {query.dtype} {query.shape}")
        if k < 1:
            raise BadInput(f"retrieval takes k >= 1; got {k}")
        scores: Float32Array = self._item_vectors @ query
        # At most len(excluded_rows) of the best k + len(excluded_rows) fall away. All that tie with the last of
        # those stay in, so that the order among equal scores is decided below, by row.
        wanted = k + len(excluded_rows)
        if wanted < items:
            last = np.partition(scores, items - wanted)[items - wanted]
            rows = np.flatnonzero(scores >= last)
        else:
            rows = np.arange(items)
        if len(excluded_rows):
            rows = rows[~np.isin(rows, excluded_rows)]
        best = rows[np.argsort(-scores[rows], kind="stable")[:k]]
        return Candidates(best.astype(np.int32), scores[best], "personal")
