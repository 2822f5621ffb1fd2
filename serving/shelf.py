"""A shelf: the items that one placement may show, and how the best of them are found."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from feature_store.errors import BadInput
from serving.candidates import Candidates, Source
from serving.indexes.item_index import ItemIndex
from serving.indexes.item_matrix import in_one_piece, require_query
from serving.indexes.latest import LatestIndex
from serving.indexes.scans import best_of_both, scores_of
from serving.popularity import PopularItems


class Added(NamedTuple):
    """What is added to the scores of some items: their rows, ascending, and as many numbers."""

    rows: Int32Array
    scores: Float32Array


class Apart(NamedTuple):
    """Those items of a shelf to whose products something is added, m of them: they are scored one by one.

    rows: of whatever can be added to, ascending, shape (n,).
    there: which of these stand on the shelf, shape (n,), m times true.
    places: where, ascending, shape (m,).
    vectors: theirs, side by side, shape (m, numbers).
    """

    rows: Int32Array
    there: BoolArray
    places: Int32Array
    vectors: Float32Array


_NOWHERE, _NOTHING = np.empty(0, np.int32), np.empty(0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """Some rows of a vocabulary with what retrieves from them. It speaks of places, 0 to n - 1, in the order of rows.

    rows: shape (n,), ascending.
    vectors: of those rows, shape (n, numbers): the items' own, and behind it what popularity adds.
    dim: how many numbers the items' own vectors have, at most `numbers`.
    lengths: of the items' own vectors, shape (n,).
    index: over those vectors.
    popular: those rows by their counts.
    usual: what is nearly always added to, looked up once for all requests.
    """

    rows: Int32Array
    vectors: Float32Array
    dim: int
    lengths: Float32Array
    index: ItemIndex
    popular: PopularItems
    usual: Apart

    @classmethod
    def of(
        cls,
        rows: Int32Array,
        item_vectors: Float32Array,
        item_counts: Float32Array,
        dim: int | None = None,
        added_to: Int32Array | None = None,
    ) -> "Shelf":
        """A shelf of those rows of a whole checkpoint's arrays; consecutive rows are not copied.

        dim: numbers of the items' own vectors; None for all that there are.
        added_to: rows to which most requests add something, ascending: that very array comes with them; None for none.
        """
        first, consecutive = int(rows[0]), int(rows[-1]) - int(rows[0]) + 1 == len(rows)
        chosen = slice(first, first + len(rows)) if consecutive else rows
        vectors = in_one_piece(item_vectors[chosen])
        dim = vectors.shape[1] if dim is None else dim
        lengths = np.linalg.norm(vectors[:, :dim], axis=1).astype(np.float32)
        usual = _apart(rows, vectors, np.empty(0, np.int32) if added_to is None else added_to)
        return cls(rows, vectors, dim, lengths, LatestIndex(vectors), PopularItems.of(item_counts[chosen]), usual)

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
        apart, plus = self._apart(added)
        others = eligible.copy()
        others[apart.places] = False
        found = self.index.retrieve(query, k, others)
        best = best_of_both(
            found.places,
            found.scores,
            apart.places,
            in_one_piece(eligible),
            plus,
            apart.vectors,
            in_one_piece(query),
            k,
        )
        return Candidates(*best, source)

    def score(self, query: Float32Array, places: Int32Array, added: Added | None = None) -> Float32Array:
        """What `closest` scores those places, shape (n,)."""
        require_query(self.vectors.shape[1], query)
        apart, plus = (None, _NOTHING) if added is None else self._apart(added)
        vectors = self.vectors.take(places, axis=0)
        added_to = _NOWHERE if apart is None else apart.places
        return scores_of(vectors, in_one_piece(query), in_one_piece(places), added_to, plus)

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
        return _unit(self.vectors.take(places, axis=0)[:, : self.dim], self.lengths[places])

    def most_popular(self, k: int, eligible: BoolArray) -> Candidates:
        """The items that most people met, as `PopularItems.retrieve` has it."""
        return self.popular.retrieve(k, eligible)

    def places(self, rows: Int32Array) -> Int32Array:
        """Where on the shelf those rows stand that stand on it."""
        return _found(self.rows, rows)[0]

    def _apart(self, added: Added) -> tuple[Apart, Float32Array]:
        """The items that something is added to, and what to each of them, shape (m,)."""
        if added.scores.shape != added.rows.shape:
            raise BadInput(f"each row has what is added; got {added.rows.shape} rows, {added.scores.shape} numbers")
        usual = added.rows is self.usual.rows
        apart = self.usual if usual else _apart(self.rows, self.vectors, added.rows)
        return apart, added.scores[apart.there]


def _apart(on_shelf: Int32Array, vectors: Float32Array, rows: Int32Array) -> Apart:
    places, there = _found(on_shelf, rows)
    return Apart(rows, there, places, vectors.take(places, axis=0))


def _found(on_shelf: Int32Array, rows: Int32Array) -> tuple[Int32Array, BoolArray]:
    """The places of those rows that stand on a shelf, and of each row whether it does."""
    places = np.searchsorted(on_shelf, rows)
    there: BoolArray = on_shelf[np.minimum(places, len(on_shelf) - 1)] == rows
    return places[there].astype(np.int32), there


def _unit(vectors: Float32Array, lengths: Float32Array) -> Float32Array:
    """Each at length 1; zero where it is."""
    result: Float32Array = vectors * np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)[:, None]
    return result
