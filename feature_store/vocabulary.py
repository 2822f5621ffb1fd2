"""The item vocabulary: item id ↔ row of the item vectors."""

from collections.abc import Iterable, Sequence

import numpy as np

from feature_store.arrays import Int32Array
from feature_store.errors import BadInput, UnknownItem


class ItemVocabulary:
    """Item ids in the order of their rows. Rows are never renumbered: a vocabulary grows at its end.

    >>> films = ItemVocabulary(["toy-story", "goldeneye"])
    >>> films.row("goldeneye"), films.item_ids[0], len(films)
    (1, 'toy-story', 2)
    >>> films.extended(["heat", "toy-story"]).item_ids
    ('toy-story', 'goldeneye', 'heat')

    Raises:
        BadInput: an id is empty or stands twice.
    """

    __slots__ = ("_rows", "item_ids")

    item_ids: tuple[str, ...]

    def __init__(self, item_ids: Iterable[str]) -> None:
        self.item_ids = tuple(item_ids)
        self._rows = {item_id: row for row, item_id in enumerate(self.item_ids)}
        if "" in self._rows:
            raise BadInput(f"item {self._rows['']} of the vocabulary has an empty id")
        if len(self._rows) != len(self.item_ids):
            twice = next(item_id for row, item_id in enumerate(self.item_ids) if self._rows[item_id] != row)
            raise BadInput(f"item id {twice!r} stands more than once in the vocabulary; ids are unique")

    def __len__(self) -> int:
        return len(self.item_ids)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ItemVocabulary) and self.item_ids == other.item_ids

    def __hash__(self) -> int:
        return hash(self.item_ids)

    def row(self, item_id: str) -> int:
        """The row of one item; raises `UnknownItem`."""
        try:
            return self._rows[item_id]
        except KeyError:
            raise UnknownItem(f"item {item_id!r} is none of the {len(self)} items of this vocabulary") from None

    def rows(self, item_ids: Sequence[str]) -> Int32Array:
        """Rows of several items, shape (len(item_ids),); raises `UnknownItem` at the first unknown one."""
        return np.fromiter((self.row(item_id) for item_id in item_ids), dtype=np.int32, count=len(item_ids))

    def known_rows(self, item_ids: Iterable[str]) -> Int32Array:
        """Distinct rows, ascending, of those items that the vocabulary holds; the others have no row to give.

        For histories: an event may well name an item that came after the checkpoint.
        """
        found = map(self._rows.get, item_ids)  # one look-up an item: they are what a sweep spends most on
        return np.array(sorted({row for row in found if row is not None}), dtype=np.int32)

    def extended(self, item_ids: Iterable[str]) -> "ItemVocabulary":
        """This vocabulary with the items it did not hold yet added at its end, in their order."""
        return ItemVocabulary((*self.item_ids, *dict.fromkeys(i for i in item_ids if i not in self._rows)))
