"""Item-item weights: what having met one item adds to the score of another, beside the two towers.

A product of two vectors of `dim` numbers cannot say that exactly these two items go together. A weight for each pair
can, and among the items that many have met there is enough data for it. So the score of item i for a history H is

    p·q_i + Σ_{h∈H} B[h, i]

with B known among some rows of the vocabulary, and nothing added elsewhere. Training finds B from a sum over clients
(`training.item_item`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput


@dataclass(frozen=True, slots=True, eq=False)
class ItemItem:
    """B among some rows of a vocabulary.

    rows: distinct rows, ascending, int32, shape (m,).
    weights: B, float32, finite, shape (m, m): [met, scored], both as places in `rows`.
    """

    rows: Int32Array
    weights: Float32Array

    def __post_init__(self) -> None:
        places = len(self.rows)
        if self.rows.dtype != np.int32 or (np.diff(self.rows) <= 0).any() or (self.rows < 0).any():
            raise BadInput("the rows of item-item weights are int32, >= 0, and each is higher than the one before it")
        if self.weights.shape != (places, places) or self.weights.dtype != np.float32:
            raise BadInput(
                f"item-item weights of {places} rows are float32 of shape ({places}, {places}); "
                f"got {self.weights.dtype} {self.weights.shape}"
            )
        if not np.isfinite(self.weights).all():
            raise BadInput("item-item weights are finite numbers")

    def added(self, histories: Sequence[Int32Array]) -> Float32Array:
        """What is added to the scores of `rows`, shape (histories, m).

        histories: distinct rows of the vocabulary each; those without weights add nothing.
        """
        added = np.zeros((len(histories), len(self.rows)), np.float32)
        for history, scores in zip(histories, added, strict=True):
            self.weights[self.places(history)].sum(axis=0, out=scores)
        return added

    def places(self, rows: Int32Array) -> Int32Array:
        """Where those of the given rows stand in `rows` that stand there.

        >>> two = ItemItem(np.array([3, 7], np.int32), np.zeros((2, 2), np.float32))
        >>> two.places(np.array([7, 5], np.int32)).tolist()
        [1]
        """
        found = np.searchsorted(self.rows, rows)
        there = np.zeros(len(rows), dtype=np.bool_)
        inside = found < len(self.rows)
        there[inside] = self.rows[found[inside]] == rows[inside]
        places: Int32Array = found[there].astype(np.int32)
        return places
