"""Lists: items in groups, by codes of eight bits a number, and the search that looks at some of these lists.

A code says how many steps each number is above the least that any item has, a step being a 255th of the range of that
number. A query is multiplied by the steps and rounded to 16 bits, so that products with codes are sums of whole
numbers, which a processor forms of 32 bytes at once. What these say is who is looked at in float32: of a product only
how it stands among the others is wanted, so that what the least adds to all alike is left out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from feature_store.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.compiled import compiled_for, read, written
from feature_store.errors import BadInput
from serving.candidates import Candidates
from serving.indexes.item_matrix import ItemMatrix
from serving.indexes.scans import best_of_lists

UInt8Array: TypeAlias = npt.NDArray[np.uint8]

_BLOCK = 65_536  # rows that are taken at one time


class Lists(NamedTuple):
    """Each item of a matrix in one of some lists.

    codes: of the items, those of a list side by side, shape (items, dim).
    steps: how much a step is, shape (dim,).
    rows: of the matrix, whose codes they are, ascending within a list, shape (items,).
    first: where each list begins, and at the end how many items there are, shape (lists + 1,).
    middles: the mean vector of each list, zero of an empty one, shape (lists, dim).
    spread: of each list, the root mean squares of the numbers of (item - middle), shape (lists, dim).
    """

    codes: UInt8Array
    steps: Float64Array
    rows: Int32Array
    first: Int64Array
    middles: Float32Array
    spread: Float32Array

    @classmethod
    def of(
        cls, matrix: ItemMatrix, numbers: Int64Array, count: int, between: Callable[[], None] = lambda: None
    ) -> "Lists":
        """The rows of a matrix, of one item at least, in lists.

        numbers: of each row, that of its list, shape (items,).
        count: lists.
        between: called after each part of the work; what it raises ends the work.
        """
        rows = np.argsort(numbers, kind="stable").astype(np.int32)
        first = np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=count))]).astype(np.int64)
        least = matrix.vectors.min(axis=0).astype(np.float64)
        steps = (matrix.vectors.max(axis=0) - least) / 255
        codes = np.empty(matrix.vectors.shape, np.uint8)
        for begin in range(0, len(rows), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            _write_codes(matrix.vectors, rows[block], least, steps, codes[block])
            between()
        middles, spread = np.zeros((2, count, matrix.dim), np.float32)
        _write_middles(matrix.vectors, rows, first, middles, spread)
        return cls(codes, steps, rows, first, middles, spread)

    def require(self, matrix: ItemMatrix) -> None:
        """Raise `BadInput` unless these are lists of that matrix, which a search does not look at again."""
        items, dim, count = len(matrix), matrix.dim, len(self.spread)
        due: dict[str, tuple[Any, tuple[int, ...]]] = {
            "codes": (np.uint8, (items, dim)),
            "steps": (np.float64, (dim,)),
            "rows": (np.int32, (items,)),
            "first": (np.int64, (count + 1,)),
            "middles": (np.float32, (count, dim)),
            "spread": (np.float32, (count, dim)),
        }
        for name, (number, shape) in due.items():
            array = getattr(self, name)
            if array.dtype != number or array.shape != shape or not array.flags.c_contiguous:
                due_here = f"{np.dtype(number)} {shape} in one piece"
                raise BadInput(f"{name} of lists are {due_here}; got {array.dtype} {array.shape}")
        if self.first[0] != 0 or self.first[-1] != items or (np.diff(self.first) < 0).any():
            raise BadInput(f"lists lie one behind the other, of {items} items in all")
        if not 0 <= self.rows.min() <= self.rows.max() < items:
            raise BadInput(f"lists hold rows from 0 to {items - 1}; got {self.rows.min()} to {self.rows.max()}")

    def search(
        self, matrix: ItemMatrix, query: Float32Array, k: int, eligible: BoolArray, there: int, reach: float
    ) -> Candidates:
        """The best eligible items of the lists that promise most.

        Args:
            matrix: of the items.
            query: a question about the matrix, as the next two.
            k: how many.
            eligible: which may be found.
            there: how many are, at least 1.
            reach: items to look at, eligible or not.
        """
        proposed = fetched(k, there)
        best = best_of_lists(*self, matrix.vectors, query, eligible, there, min(k, there), proposed, reach)
        return Candidates(*best, "personal")


def fetched(k: int, there: int) -> int:
    """How many items are taken by their codes, of those that are there, for the k best of them to be among.

    Eight bits change products by less than what lies between the 10th and the 50th of 100,000 clustered items.
    """
    return min(there, k + max(40, k // 4))


@compiled_for(read(np.float32, 2), read(np.int32), read(np.float64), read(np.float64), written(np.uint8, 2))
def _write_codes(
    vectors: Float32Array, rows: Int32Array, least: Float64Array, steps: Float64Array, codes: UInt8Array
) -> None:
    """Write the codes of these rows: how many steps each number is above the least, to the nearest.

    steps: a 255th of the range of each number; 0 where it has none.
    """
    for place in range(len(rows)):
        for number in range(len(least)):
            if steps[number] > 0:
                above = np.float64(vectors[rows[place], number]) - least[number]
                codes[place, number] = np.uint8(above / steps[number] + 0.5)
            else:
                codes[place, number] = 0


@compiled_for(read(np.float32, 2), read(np.int32), read(np.int64), written(np.float32, 2), written(np.float32, 2))
def _write_middles(
    vectors: Float32Array, rows: Int32Array, first: Int64Array, middles: Float32Array, spread: Float32Array
) -> None:
    """Write the middle and the spread of each list that has items; see `Lists`."""
    middle = np.empty(vectors.shape[1])
    for number in range(len(spread)):
        held = rows[first[number] : first[number + 1]]
        if len(held):
            middle[:] = 0
            for row in held:
                for at in range(len(middle)):
                    middle[at] += np.float64(vectors[row, at])
            total = np.zeros(len(middle))
            for at in range(len(middle)):
                middle[at] /= len(held)
                middles[number, at] = middle[at]
            for row in held:
                for at in range(len(middle)):
                    away = np.float64(vectors[row, at]) - middle[at]
                    total[at] += away * away
            for at in range(len(middle)):
                spread[number, at] = np.sqrt(total[at] / len(held))
