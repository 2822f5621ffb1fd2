"""The item matrix: the float32 vectors that every index finds items in, and the one way in which they are scored."""

from dataclasses import dataclass

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from feature_store.errors import BadInput
from serving.candidates import Candidates, best_of

_FEW = 256  # rows that are not worth being looked at twice
_HALF_ULP = 2.0**-24  # the relative error of one float32 operation


@dataclass(frozen=True, slots=True, eq=False)
class ItemMatrix:
    """Vectors of items, one a row.

    vectors: Q, float32, shape (items, dim); kept, not copied, so that it may be a memory map.
    longest: the largest norm of a row.
    """

    vectors: Float32Array
    longest: float

    @classmethod
    def of(cls, vectors: Float32Array) -> "ItemMatrix":
        """The matrix of these vectors; raises `BadInput` for others than float32 of shape (items, dim)."""
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            raise BadInput(f"an index takes float32 vectors of shape (items, dim); got {vectors.dtype} {vectors.shape}")
        longest = (
            float(np.sqrt(np.einsum("id,id->i", vectors, vectors, dtype=np.float64).max())) if vectors.size else 0.0
        )
        return cls(vectors, longest)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Numbers in a row and in a query."""
        return int(self.vectors.shape[1])

    def require(self, query: Float32Array, k: int, eligible: BoolArray) -> None:
        """Raise `BadInput` where these are no question about this matrix."""
        require_question(len(self), self.dim, query, k, eligible)

    def error(self, query: Float32Array) -> float:
        """By how much two float32 products of the query with equal rows can differ, at most.

        BLAS sums in another order in one row than in the next. Each sum is within dim·u·|q||x| of the true one
        (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1), u being half a unit in the last
        place.
        """
        return 2 * (self.dim + 1) * _HALF_ULP * length(query) * self.longest

    def best(self, rows: Int32Array, query: Float32Array, k: int) -> Candidates:
        """The k best of these rows, in the order that every index has.

        A score is the float32 number next to the product, whatever the order of summation: so rows with equal vectors
        have equal scores, wherever they stand and on whatever machine.

        rows: ascending.
        """
        if len(rows) > max(2 * k, _FEW):  # most of them fall out by float32 products, which BLAS is quick at
            rough = self.vectors[rows] @ query
            last = np.partition(rough, len(rough) - k)[len(rough) - k]
            rows = rows[rough >= last - 2 * self.error(query)]
        return best_of(rows, self.scores(rows, query), k, "personal")

    def scores(self, rows: Int32Array, query: Float32Array) -> Float32Array:
        """The products of these rows with the query, summed in 64 bits and then rounded, shape (n,)."""
        products = np.einsum("id,d->i", self.vectors[rows].astype(np.float64), query.astype(np.float64))
        result: Float32Array = products.astype(np.float32)
        return result


def length(query: Float32Array) -> float:
    """The norm of a query. Its square need not be a float32 number for its products to be."""
    return float(np.linalg.norm(query.astype(np.float64)))


def require_question(items: int, dim: int, query: Float32Array, k: int, eligible: BoolArray) -> None:
    """Raise `BadInput` where these are no question about that many items of that many numbers."""
    if query.shape != (dim,) or query.dtype != np.float32:
        raise BadInput(f"this index takes float32 queries of shape ({dim},); got {query.dtype} {query.shape}")
    if k < 1:
        raise BadInput(f"retrieval takes k >= 1; got {k}")
    if eligible.shape != (items,) or eligible.dtype != np.bool_:
        raise BadInput(f"eligibility is bool of shape ({items},); got {eligible.dtype} {eligible.shape}")
