"""The item matrix: the float32 vectors that every index finds items in, and the one way in which they are scored."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from feature_store.errors import BadInput
from serving.candidates import Candidates
from serving.indexes.scans import best_of_rows

Number = TypeVar("Number", bound=np.generic)

_HALF_ULP = 2.0**-24  # the relative error of one float32 operation


@dataclass(frozen=True, slots=True, eq=False)
class ItemMatrix:
    """Vectors of items, one a row.

    vectors: Q, float32, shape (items, dim), in one piece; kept, not copied, so that it may be a memory map.
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
        return cls(in_one_piece(vectors), longest)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Numbers in a row and in a query."""
        return int(self.vectors.shape[1])

    def question(self, query: Float32Array, k: int, eligible: BoolArray) -> tuple[Float32Array, BoolArray]:
        """The query and what is eligible, as compiled code takes them; raises `BadInput` where they are no question."""
        require_question(len(self), self.dim, query, k, eligible)
        return in_one_piece(query), in_one_piece(eligible)

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

        rows: of the matrix, each once.
        query: as `question` gives it.
        """
        return Candidates(*best_of_rows(self.vectors, query, rows, k), "personal")


def length(query: Float32Array) -> float:
    """The norm of a query. Its square need not be a float32 number for its products to be."""
    return float(np.linalg.norm(query.astype(np.float64)))


def require_question(items: int, dim: int, query: Float32Array, k: int, eligible: BoolArray) -> None:
    """Raise `BadInput` where these are no question about that many items of that many numbers."""
    require_query(dim, query)
    if k < 1:
        raise BadInput(f"retrieval takes k >= 1; got {k}")
    if eligible.shape != (items,) or eligible.dtype != np.bool_:
        raise BadInput(f"eligibility is bool of shape ({items},); got {eligible.dtype} {eligible.shape}")


def require_query(dim: int, query: Float32Array) -> None:
    """Raise `BadInput` where this is no query of that many numbers."""
    if query.shape != (dim,) or query.dtype != np.float32:
        raise BadInput(f"this index takes float32 queries of shape ({dim},); got {query.dtype} {query.shape}")


def in_one_piece(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The array as compiled code takes it, contiguous and aligned: the same one where it is so already."""
    there = array.flags
    if type(array) is np.ndarray and there.c_contiguous and there.aligned:
        return array
    result: npt.NDArray[Any] = np.require(np.asarray(array), requirements=["C", "A"])
    return result
