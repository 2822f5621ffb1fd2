"""A shelf: the items that one placement may show, and how the best of them are found."""

from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from serving.candidates import Candidates, Source
from serving.popularity import PopularItems
from serving.retrieval import ExactIndex, ItemIndex


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """Some rows of a vocabulary with what retrieves from them. It takes and gives rows of the vocabulary.

    rows: shape (n,), ascending.
    index: over the vectors of those rows.
    popular: those rows by their counts.
    """

    rows: Int32Array
    index: ItemIndex
    popular: PopularItems

    @classmethod
    def of(cls, rows: Int32Array, item_vectors: Float32Array, item_counts: Float32Array) -> "Shelf":
        """A shelf of those rows of a whole checkpoint's arrays; consecutive rows are not copied."""
        first, consecutive = int(rows[0]), int(rows[-1]) - int(rows[0]) + 1 == len(rows)
        chosen = slice(first, first + len(rows)) if consecutive else rows
        return cls(rows, ExactIndex(item_vectors[chosen]), PopularItems.of(item_counts[chosen]))

    def closest(self, query: Float32Array, k: int, excluded_rows: Int32Array, source: Source) -> Candidates:
        """The best items for a query, as `ItemIndex.retrieve` has it, named as from that source."""
        found = self.index.retrieve(query, k, self._places(excluded_rows))
        return Candidates(self.rows[found.rows], found.scores, source)

    def most_popular(self, k: int, excluded_rows: Int32Array) -> Candidates:
        """The items that most people met, as `PopularItems.retrieve` has it."""
        found = self.popular.retrieve(k, self._places(excluded_rows))
        return Candidates(self.rows[found.rows], found.scores, found.source)

    def _places(self, rows: Int32Array) -> Int32Array:
        """Where on the shelf those rows stand that stand on it."""
        places = np.searchsorted(self.rows, rows)
        there = self.rows[np.minimum(places, len(self.rows) - 1)] == rows
        kept: Int32Array = places[there].astype(np.int32)
        return kept
