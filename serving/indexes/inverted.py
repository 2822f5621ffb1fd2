"""The inverted index: items lie in lists about centroids, and of the lists that promise most the items are scored.

Items are scored by codes of eight bits a number, and the best of them again in float32 (`serving.indexes.lists`).
Lists are those of `serving.indexes.partition`.

How far it looks is `effort`, items of which none is excluded. It grows with the root of how many are excluded, and not
with how many items are wanted: the 300 best are found nearly as surely as the ten best are (docs/retrieval.md).
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from feature_store.arrays import BoolArray, Float32Array
from serving.candidates import Candidates
from serving.indexes.item_matrix import ItemMatrix
from serving.indexes.lists import Lists
from serving.indexes.partition import partition
from serving.indexes.recall import TUNED_WITH, sample_queries, tuned

_FEW = 2_000  # eligible items; so many are scored in float32 before a search has begun
_FETCHING = 20  # a row that is fetched and scored in float32 takes as long as so many codes are looked up


class InvertedIndex:
    """Lists of a matrix.

    matrix: what is found is scored by it.
    lists: of its rows.
    effort: items to score by code for the best ten of all.
    """

    kind: Final = "inverted"
    __slots__ = ("effort", "lists", "matrix")

    def __init__(self, matrix: ItemMatrix, lists: Lists, effort: int) -> None:
        self.matrix, self.lists, self.effort = matrix, lists, effort

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
        matrix = ItemMatrix.of(vectors)
        kinds = [sample_queries(vectors, seed)] if queries is None else queries
        shares = [min(len(kind) // 2, max(1, TUNED_WITH // len(kinds))) for kind in kinds]
        made_for = np.concatenate([kind[share:] for kind, share in zip(kinds, shares, strict=True)])
        count = max(1, int(2 * len(matrix) ** 0.5)) if len(matrix) > _FEW else 1
        lists = Lists.of(matrix, partition(matrix.vectors, made_for, count, seed, between), count, between)
        index = cls(matrix, lists, effort=0)
        tuning = [kind[:share] for kind, share in zip(kinds, shares, strict=True)]  # not those that it was made for
        index.effort = tuned(index.with_effort, matrix, tuning, recall, between)
        return index

    def with_effort(self, effort: int) -> "InvertedIndex":
        """The same lists, looked at that far."""
        return InvertedIndex(self.matrix, self.lists, effort)

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it."""
        query, eligible = self.matrix.question(query, k, eligible)
        there = int(np.count_nonzero(eligible))
        reach = self.effort * float(np.sqrt(len(self.matrix) / max(1, there)))
        if there <= _FEW or _FETCHING * there <= reach:
            return self.matrix.best(np.flatnonzero(eligible).astype(np.int32), query, k)
        return self.lists.search(self.matrix, query, k, eligible, there, reach)
