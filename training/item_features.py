"""Item features as the item tower takes them: arrays with one row an item, in the order of the vocabulary."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput
from training.padding import pad


@dataclass(frozen=True, slots=True, eq=False)
class NamedColumn:
    """A column of names: categories, a brand.

    numbers: 1-based numbers of each item's names, 0 where there is none; shape (items, most names).
    names: name number n at n − 1.
    """

    numbers: Int32Array
    names: tuple[str, ...]

    @classmethod
    def of(cls, cells: Sequence[Sequence[str]], least: int = 1) -> "NamedColumn":
        """The column of items with these names, each item's in a sequence; numbers go by name.

        least: leave out a name that fewer items have; what one item alone has says nothing of another.

        >>> NamedColumn.of([["war", "drama"], [], ["drama"]]).numbers.tolist()
        [[2, 1], [0, 0], [1, 0]]
        >>> NamedColumn.of([["war", "drama"], [], ["drama"]], least=2).numbers.tolist()
        [[1], [0], [1]]
        """
        counts = Counter(name for item in cells for name in item)
        names = tuple(sorted(name for name, count in counts.items() if count >= least))
        numbers = {name: number for number, name in enumerate(names)}
        rows = [np.array([numbers[n] for n in item if n in numbers], np.int32) for item in cells]
        return cls(pad(rows) + np.int32(1), names)


@dataclass(frozen=True, slots=True, eq=False)
class ItemFeatures:
    """The features of all items.

    items: how many there are.
    named: columns of names, by column.
    numeric: standardised numbers, 0 where an item has none, shape (items, numeric columns).
    text: encoded titles, zeros where there is none, shape (items, width of the encoder), or width 0.
    """

    items: int
    named: Mapping[str, NamedColumn] = field(default_factory=dict)
    numeric: Float32Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    text: Float32Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __post_init__(self) -> None:
        shapes = {name: column.numbers.shape for name, column in self.named.items()}
        shapes |= {name: a.shape for name, a in (("numbers", self.numeric), ("texts", self.text)) if a.size}
        for name, shape in shapes.items():
            if len(shape) != 2 or shape[0] != self.items:
                raise BadInput(f"features of {self.items} items have a row each; {name} have shape {shape}")

    @classmethod
    def of_categories(cls, categories: Sequence[Sequence[str]]) -> "ItemFeatures":
        """Features of items with these categories, each item's in a sequence, and nothing else."""
        column = NamedColumn.of(categories)
        return cls(len(categories), {"category": column} if column.names else {})

    def digest(self) -> str:
        """A SHA-256 (hex) over names and numbers of all kinds: training with other features is another run."""
        names = {name: column.names for name, column in self.named.items()}
        shapes = [self.items, self.numeric.shape, self.text.shape]
        total = hashlib.sha256(json.dumps([names, shapes]).encode())
        for column in self.named.values():
            total.update(json.dumps(column.numbers.shape).encode())
            total.update(column.numbers.astype("<i4").tobytes())
        for array in (self.numeric, self.text):
            total.update(array.astype("<f4").tobytes())
        return total.hexdigest()
