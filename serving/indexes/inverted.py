"""The inverted index: items lie in lists about centroids, and of the lists that promise most the items are scored.

Items are scored by codes of eight bits a number, and the best of them again in float32. Lists are those of
`serving.indexes.partition`; a list promises its centroid's product with the query, and of its items' distance from the
centroid what one standard deviation is of it in the direction of the query.

How far it looks is `effort`, items of which none is excluded. It grows with the root of how many are excluded, and
where what is eligible lies elsewhere, further lists are looked at until about so many eligible items were met as there
would have been: a filter that is against a person's taste costs time, not items. It does not grow with how many items
are wanted: the 300 best are found nearly as surely as the ten best are (docs/retrieval.md).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from serving.candidates import Candidates
from serving.indexes.codes import add_all, best_eligible, code_dim, faiss, fetched, filled_up, one_thread
from serving.indexes.item_matrix import ItemMatrix, length
from serving.indexes.partition import partition
from serving.indexes.recall import TUNED_WITH, sample_queries, tuned

_FEW = 2_000  # eligible items; so many are scored in float32 before a search has begun
_SAMPLED = 32  # lists that say how much of those looked at is eligible
_FETCHING = 5  # a row that is fetched and scored in float32 takes as long as so many codes in a list


class InvertedIndex:
    """An inverted file of FAISS over a matrix.

    matrix: what is found is scored by it.
    lists: a `faiss.IndexIVFScalarQuantizer` of its rows.
    spread: of each list, the root mean square of a number of (item - centroid), shape (lists,).
    effort: items to score by code for the best ten of all.
    """

    kind: Final = "inverted"
    __slots__ = ("_centroids", "_first", "_rows", "effort", "lists", "matrix", "spread")

    def __init__(self, matrix: ItemMatrix, lists: Any, spread: Float32Array, effort: int) -> None:
        self.matrix, self.lists, self.spread, self.effort = matrix, lists, spread, effort
        held = [_held(lists.invlists, number) for number in range(lists.nlist)]
        self._rows: Int32Array = np.concatenate(held)
        self._first: Int64Array = np.cumsum([0, *map(len, held)])
        self._centroids = _centroids(lists)

    @classmethod
    def of(
        cls,
        vectors: Float32Array,
        queries: Sequence[Float32Array] | None = None,
        recall: float = 0.99,
        seed: int = 1,
        between: Callable[[], None] = lambda: None,
    ) -> "InvertedIndex":
        """The index of these vectors, which are kept, with the effort that reaches a recall.

        queries: as people will ask, for each kind of people, shape (n, dim), at least two; for all together better some
            thousand. None makes some up from the items.
        recall: of the best ten, that the mean query of each kind is to have.
        between: called after each part of the work, a second or so of it; what it raises ends the work.
        """
        one_thread()
        matrix = ItemMatrix.of(vectors)
        kinds = [sample_queries(vectors, seed)] if queries is None else queries
        shares = [min(len(kind) // 2, max(1, TUNED_WITH // len(kinds))) for kind in kinds]
        made_for = np.concatenate([kind[share:] for kind, share in zip(kinds, shares, strict=True)])
        lists = _filed(matrix, made_for, seed, between)
        index = cls(matrix, lists, _spread(matrix, lists), effort=0)
        tuning = [kind[:share] for kind, share in zip(kinds, shares, strict=True)]  # not those that it was made for
        index.effort = tuned(index.with_effort, matrix, tuning, recall, between)
        return index

    def with_effort(self, effort: int) -> "InvertedIndex":
        """The same lists, looked at that far."""
        return InvertedIndex(self.matrix, self.lists, self.spread, effort)

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it."""
        self.matrix.require(query, k, eligible)
        there = int(np.count_nonzero(eligible))
        if there <= _FEW or _FETCHING * there <= self._reach(there):
            return self.matrix.best(np.flatnonzero(eligible).astype(np.int32), query, k)
        one_thread()
        asked = filled_up(query[None])
        promises = self._centroids @ asked[0] + length(query) * self.spread
        order: Int64Array = np.argsort(-promises)
        looked = self._enough(order, there, eligible)
        rows = self._search(asked, order[:looked], k, eligible, there)
        while len(rows) < min(k, there):  # at the latest, all lists have them all
            looked = min(2 * looked, len(order))
            rows = self._search(asked, order[:looked], k, eligible, there)
        return self.matrix.best(rows, query, k)

    def _reach(self, there: int) -> float:
        """How many items are looked at, eligible or not, of which so many are eligible."""
        return self.effort * float(np.sqrt(len(self.matrix) / there))

    def _enough(self, order: Int64Array, there: int, eligible: BoolArray) -> int:
        """How many lists, in that order, have the items to look at."""
        reach, items = self._reach(there), len(self.matrix)
        held = np.cumsum(np.diff(self._first)[order])
        looked = min(int(np.searchsorted(held, reach)) + 1, len(order))
        if there == items:
            return looked
        wanted = min(reach * there / items, 0.9 * there)
        while looked < len(order) and self._share(order[:looked], eligible) * held[looked - 1] < wanted:
            looked = min(2 * looked, len(order))
        return looked

    def _share(self, numbers: Int64Array, eligible: BoolArray) -> float:
        """About what part of the items of these lists is eligible, by some of the lists."""
        some = numbers[:: max(1, len(numbers) // _SAMPLED)].tolist()
        rows = np.concatenate([self._rows[self._first[one] : self._first[one + 1]] for one in some])
        return float(np.count_nonzero(eligible[rows])) / max(1, len(rows))

    def _search(self, asked: Float32Array, chosen: Int64Array, k: int, eligible: BoolArray, there: int) -> Int32Array:
        """The best rows of the chosen lists by their codes, ascending."""
        chosen = np.ascontiguousarray(chosen)
        none = np.zeros(len(chosen), np.float32)  # codes are of whole vectors: the centroid's product adds nothing
        at: Callable[[Any], Any] = faiss.swig_ptr
        places = False  # rows are wanted, not places in lists

        def search(wanted: int, only: Any) -> Int64Array:
            settings = faiss.SearchParametersIVF(nprobe=len(chosen), **({} if only is None else {"sel": only}))
            distances, labels = np.empty((1, wanted), np.float32), np.empty((1, wanted), np.int64)
            self.lists.search_preassigned_c(
                1, at(asked), wanted, at(chosen), at(none), at(distances), at(labels), places, settings
            )
            return labels

        return best_eligible(search, fetched(k, there), eligible, there)


def _filed(matrix: ItemMatrix, queries: Float32Array, seed: int, between: Callable[[], None]) -> Any:
    """The rows of the matrix in about 2√items lists, about the middle of each."""
    items, dim = len(matrix), code_dim(matrix.dim)
    count = max(1, int(2 * items**0.5)) if items > _FEW else 1
    numbers = partition(matrix.vectors, queries, count, seed, between)
    quantizer = faiss.IndexFlatL2(dim)
    quantizer.add(filled_up(_middles(matrix.vectors, numbers, count)))
    of_residuals = False  # a code of the whole vector serves a query in every list alike
    lists = faiss.IndexIVFScalarQuantizer(
        quantizer, dim, count, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, of_residuals
    )
    lists.train(filled_up(np.stack([matrix.vectors.min(axis=0), matrix.vectors.max(axis=0)])))
    add_all(lists, matrix.vectors, between, numbers)
    return lists


def _middles(vectors: Float32Array, numbers: Int64Array, count: int) -> Float32Array:
    """The mean of each list, shape (count, dim); zero of an empty one."""
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=count))
    result = np.zeros((count, vectors.shape[1]), np.float32)
    for number, rows in enumerate(np.split(order, ends[:-1])):
        if len(rows):
            result[number] = vectors[rows].mean(axis=0)
    return result


def _spread(matrix: ItemMatrix, lists: Any) -> Float32Array:
    result = np.zeros(lists.nlist, np.float32)
    for number, centroid in enumerate(_centroids(lists)[:, : matrix.dim]):
        rows = _held(lists.invlists, number)
        if len(rows):
            result[number] = np.sqrt(np.mean((matrix.vectors[rows] - centroid) ** 2))
    return result


def _centroids(lists: Any) -> Float32Array:
    """Those of the lists, shape (lists, code_dim(dim))."""
    numbers: Float32Array = faiss.rev_swig_ptr(faiss.downcast_index(lists.quantizer).get_xb(), lists.nlist * lists.d)
    return numbers.reshape(lists.nlist, lists.d)


def _held(inverted: Any, number: int) -> Int32Array:
    """The rows in a list."""
    size = inverted.list_size(number)
    if not size:
        return np.empty(0, np.int32)
    rows: Int32Array = faiss.rev_swig_ptr(inverted.get_ids(number), size).astype(np.int32)
    return rows
