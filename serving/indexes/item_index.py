"""What every index of item vectors promises. One suite of tests holds all of them to it."""

from typing import Literal, Protocol, TypeAlias

from feature_store.arrays import BoolArray, Float32Array
from serving.candidates import Candidates

Kind: TypeAlias = Literal["exact", "int8", "inverted", "vector sets"]


class ItemIndex(Protocol):
    """Finds the items whose vectors have the largest product with a query vector.

    Vectors are not normalised: their lengths count. An index may miss an item that belongs among the best (what it
    finds is told by its recall); it never gives one that is not eligible, and what it gives is scored and ordered as
    the exact index does it (`serving.indexes.item_matrix.ItemMatrix.best`). The same question has the same answer.
    """

    @property
    def kind(self) -> Kind:
        """What it is called where indexes are chosen and kept."""
        ...

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """The best items for a query, from the source "personal".

        Args:
            query: float32, shape (dim,), finite.
            k: how many, at least 1.
            eligible: which items may come back, shape (items,).

        Returns:
            min(k, eligible items) items, best first; of equal scores the lower row is first.

        Raises:
            BadInput: the query is of another length or type than the index takes, or k is below 1.
        """
        ...
