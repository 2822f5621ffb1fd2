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
    """Some rows of a vocabulary with what retrieves from them. It speaks of places, 0 to n - 1, in the order of rows.

    rows: shape (n,), ascending.
    vectors: of those rows, shape (n, numbers): the items' own, and behind it what popularity adds.
    dim: how many numbers the items' own vectors have, at most `numbers`.
    lengths: of the items' own vectors, shape (n,).
    index: over those vectors.
    popular: those rows by their counts.
    """

    rows: Int32Array
    vectors: Float32Array
    dim: int
    lengths: Float32Array
    index: ItemIndex
    popular: PopularItems

    @classmethod
    def of(
        cls, rows: Int32Array, item_vectors: Float32Array, item_counts: Float32Array, dim: int | None = None
    ) -> "Shelf":
        """A shelf of those rows of a whole checkpoint's arrays; consecutive rows are not copied.

        dim: numbers of the items' own vectors; None for all that there are.
        """
        first, consecutive = int(rows[0]), int(rows[-1]) - int(rows[0]) + 1 == len(rows)
        chosen = slice(first, first + len(rows)) if consecutive else rows
        vectors = item_vectors[chosen]
        dim = vectors.shape[1] if dim is None else dim
        lengths = np.linalg.norm(vectors[:, :dim], axis=1).astype(np.float32)
        return cls(rows, vectors, dim, lengths, ExactIndex(vectors), PopularItems.of(item_counts[chosen]))

    def closest(
        self, query: Float32Array, k: int, eligible: BoolArray, source: Source, added: Added | None = None
    ) -> Candidates:
        """The best items for a query, as `ItemIndex.retrieve` has it, named as from that source.

        eligible: which of the shelf may come back, shape (n,).
        added: what is added to the products of some items. Those are scored one by one; the index, which knows
            products alone, is asked for the best of the others.
        """
        if added is None:
            found = self.index.retrieve(query, k, eligible)
            return Candidates(found.places, found.scores, source)
        places, there = self._found(added.rows)
        others = eligible.copy()
        others[places] = False
        found = self.index.retrieve(query, k, others)
        open_ = eligible[places]
        scores = self.vectors[places[open_]] @ query + added.scores[there][open_]
        all_places = np.concatenate([found.places, places[open_]])
        all_scores = np.concatenate([found.scores, scores])
        best = np.lexsort((all_places, -all_scores))[:k]
        return Candidates(all_places[best], all_scores[best], source)

    def score(self, query: Float32Array, places: Int32Array, added: Added | None = None) -> Float32Array:
        """What `closest` scores those places, shape (n,)."""
        scores: Float32Array = self.vectors[places] @ query
        if added is not None:
            theirs, there = self._found(added.rows)
            plus = np.zeros(len(self.rows), np.float32)
            plus[theirs] = added.scores[there]
            scores = scores + plus[places]
        return scores

    def cosines(self, anchors: Int32Array, places: Int32Array) -> Float32Array:
        """How like the mean direction of some items each of those places is, from -1 to 1, shape (n,).

        0 where an item's own vector is zero.
        """
        own = self.vectors[:, : self.dim]
        direction = _unit(own[anchors], self.lengths[anchors]).mean(axis=0)
        direction /= max(float(np.linalg.norm(direction)), 1e-12)
        products = own[places] @ direction if 8 * len(places) < len(own) else (own @ direction)[places]
        lengths = self.lengths[places]
        result: Float32Array = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
        return result

    def directions(self, places: Int32Array) -> Float32Array:
        """The items' own vectors at length 1, shape (n, dim); zero where an item's is."""
        return _unit(self.vectors[places, : self.dim], self.lengths[places])

    def most_popular(self, k: int, eligible: BoolArray) -> Candidates:
        """The items that most people met, as `PopularItems.retrieve` has it."""
        return self.popular.retrieve(k, eligible)

    def places(self, rows: Int32Array) -> Int32Array:
        """Where on the shelf those rows stand that stand on it."""
        return self._found(rows)[0]

    def _found(self, rows: Int32Array) -> tuple[Int32Array, BoolArray]:
        """The places of those rows that stand on the shelf, and of each row whether it does."""
        places = np.searchsorted(self.rows, rows)
        there: BoolArray = self.rows[np.minimum(places, len(self.rows) - 1)] == rows
        return places[there].astype(np.int32), there


def _unit(vectors: Float32Array, lengths: Float32Array) -> Float32Array:
    result: Float32Array = np.divide(vectors, lengths[:, None], out=np.zeros_like(vectors), where=lengths[:, None] > 0)
    return result
