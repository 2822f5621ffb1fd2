"""A shelf: the items that one placement may show, and how the best of them are found."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from serving.candidates import Candidates, Source
from serving.popularity import PopularItems
from serving.retrieval import ExactIndex, ItemIndex


class Added(NamedTuple):
    """What is added to the scores of some items: their rows, ascending, and as many numbers."""

    rows: Int32Array
    scores: Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """Some rows of a vocabulary with what retrieves from them. It takes and gives rows of the vocabulary.

    rows: shape (n,), ascending.
    vectors: of those rows, shape (n, dim).
    index: over those vectors.
    popular: those rows by their counts.
    """

    rows: Int32Array
    vectors: Float32Array
    index: ItemIndex
    popular: PopularItems

    @classmethod
    def of(cls, rows: Int32Array, item_vectors: Float32Array, item_counts: Float32Array) -> "Shelf":
        """A shelf of those rows of a whole checkpoint's arrays; consecutive rows are not copied."""
        first, consecutive = int(rows[0]), int(rows[-1]) - int(rows[0]) + 1 == len(rows)
        chosen = slice(first, first + len(rows)) if consecutive else rows
        vectors = item_vectors[chosen]
        return cls(rows, vectors, ExactIndex(vectors), PopularItems.of(item_counts[chosen]))

    def closest(
        self, query: Float32Array, k: int, excluded_rows: Int32Array, source: Source, added: Added | None = None
    ) -> Candidates:
        """The best items for a query, as `ItemIndex.retrieve` has it, named as from that source.

        added: what is added to the products of some items. Those are scored one by one; the index, which knows
            products alone, is asked for the best of the others.
        """
        excluded = self._places(excluded_rows)
        if added is None:
            found = self.index.retrieve(query, k, excluded)
            return Candidates(self.rows[found.rows], found.scores, source)
        places, there = self._found(added.rows)
        others = self.index.retrieve(query, k, np.concatenate([excluded, places]))
        scores = self.vectors[places] @ query + added.scores[there]
        open_ = ~np.isin(places, excluded)
        all_places = np.concatenate([others.rows, places[open_]])
        all_scores = np.concatenate([others.scores, scores[open_]])
        best = np.lexsort((all_places, -all_scores))[:k]
        return Candidates(self.rows[all_places[best]], all_scores[best], source)

    def most_popular(self, k: int, excluded_rows: Int32Array) -> Candidates:
        """The items that most people met, as `PopularItems.retrieve` has it."""
        found = self.popular.retrieve(k, self._places(excluded_rows))
        return Candidates(self.rows[found.rows], found.scores, found.source)

    def _places(self, rows: Int32Array) -> Int32Array:
        """Where on the shelf those rows stand that stand on it."""
        return self._found(rows)[0]

    def _found(self, rows: Int32Array) -> tuple[Int32Array, BoolArray]:
        """The places of those rows that stand on the shelf, and of each row whether it does."""
        places = np.searchsorted(self.rows, rows)
        there: BoolArray = self.rows[np.minimum(places, len(self.rows) - 1)] == rows
        return places[there].astype(np.int32), there
