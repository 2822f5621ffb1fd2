"""Popular items: what a person gets of whom nothing is known."""

from dataclasses import dataclass

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from serving.candidates import Candidates


@dataclass(frozen=True, slots=True, eq=False)
class PopularItems:
    """All items, those that most people met first; of equal counts the lower row is first.

    counts: people who met each item, shape (items,), by row.
    order: all rows, shape (items,), most popular first.
    """

    counts: Float32Array
    order: Int32Array

    @classmethod
    def of(cls, counts: Float32Array) -> "PopularItems":
        """Put the items into their order once, for all requests to come."""
        return cls(counts, np.argsort(-counts, kind="stable").astype(np.int32))

    def retrieve(self, k: int, eligible: BoolArray) -> Candidates:
        """The min(k, eligible items) most popular of the eligible items, of shape (items,); the score is the count."""
        rows = self.order[eligible[self.order]][:k]
        return Candidates(rows, self.counts[rows], "popular")
