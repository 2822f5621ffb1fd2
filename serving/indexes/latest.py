"""The latest index of a matrix: the exact one at first, and from the moment that a faster one is built, that one."""

from feature_store.arrays import BoolArray, Float32Array
from serving.candidates import Candidates
from serving.indexes.exact import ExactIndex
from serving.indexes.item_index import ItemIndex, Kind
from serving.indexes.item_matrix import ItemMatrix


class LatestIndex:
    """Answers by the index that was put last. A search takes the name once: no lock, and no search meets two indexes.

    vectors: Q, float32, shape (items, dim); kept, not copied.

    Its `is_settled` says that no other index is to come.
    """

    __slots__ = ("_answering", "is_settled", "matrix")

    def __init__(self, vectors: Float32Array) -> None:
        exact = ExactIndex(vectors)
        self.matrix: ItemMatrix = exact.matrix
        self.is_settled = False
        self._answering: ItemIndex = exact

    @property
    def kind(self) -> Kind:
        """That of the index that answers now."""
        return self._answering.kind

    @property
    def answering(self) -> ItemIndex:
        """The index that answers now."""
        return self._answering

    def settle(self, index: ItemIndex | None) -> None:
        """Let that index of the same matrix answer from now on; None: the one that does."""
        if index is not None:
            self._answering = index
        self.is_settled = True

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it."""
        return self._answering.retrieve(query, k, eligible)
