"""Item features as the item tower takes them: one row of numbers an item, in the order of the vocabulary."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Int32Array
from training.padding import pad


@dataclass(frozen=True, slots=True, eq=False)
class ItemFeatures:
    """The features of all items.

    categories: 1-based category numbers of each item, 0 where there is none; shape (items, most categories).
    category_names: name of category number n at n − 1.
    """

    categories: Int32Array
    category_names: tuple[str, ...] = ()

    @classmethod
    def of_categories(cls, categories: Sequence[Sequence[str]]) -> "ItemFeatures":
        """Features of items with these categories, each item's in a sequence; numbers go by name.

        >>> ItemFeatures.of_categories([["war", "drama"], [], ["drama"]]).categories.tolist()
        [[2, 1], [0, 0], [1, 0]]
        """
        names = tuple(sorted({name for item in categories for name in item}))
        numbers = {name: number for number, name in enumerate(names)}
        return cls(pad([np.array([numbers[n] for n in item], np.int32) for item in categories]) + np.int32(1), names)

    def digest(self) -> str:
        """A SHA-256 (hex) over names and numbers: training with other features is another run."""
        total = hashlib.sha256(json.dumps(self.category_names).encode())
        total.update(self.categories.astype("<i4").tobytes())
        return total.hexdigest()

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(self.categories)
