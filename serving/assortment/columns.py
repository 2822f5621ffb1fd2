"""Columns of what is known of items, by place: numbers, and names with their codes. They grow at their end."""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from feature_store.arrays import Int32Array

Number = TypeVar("Number", bound=np.generic)

NO_NAME = -1
"""The code of an item without a name."""

_SMALLEST = 1024


class Column(Generic[Number]):
    """Of each place a number, and `missing` where nobody has said one.

    length: how many places there are.
    missing: says the type of the numbers as well.
    """

    __slots__ = ("_length", "_values", "missing")

    def __init__(self, length: int, missing: Number) -> None:
        self.missing = missing
        self._length = 0
        self._values: NDArray[Number] = np.empty(max(length, _SMALLEST), type(missing))
        self.grow(length)

    @property
    def values(self) -> NDArray[Number]:
        """Shape (places,); written to by `put` alone."""
        return self._values[: self._length]

    def put(self, place: int, value: float | None) -> None:
        """What the number of that place is from now on; None for none."""
        self._values[place] = self.missing if value is None else value

    def grow(self, length: int) -> None:
        """Have so many places; new ones have no number."""
        if length > len(self._values):
            larger = np.empty(2 * length, self._values.dtype)
            larger[: self._length] = self.values
            self._values = larger
        self._values[self._length : length] = self.missing
        self._length = max(length, self._length)


class NamesColumn:
    """Of each place some names, and of each name its places: brands, topics, authors, categories.

    >>> column = NamesColumn(3)
    >>> column.put(0, ("tea", "drinks")); column.put(2, ("drinks",))
    >>> column.places(["drinks", "wine"]).tolist(), column.first.tolist()
    ([0, 2], [0, -1, 1])
    """

    __slots__ = ("_codes", "_first", "_names", "_places")

    def __init__(self, length: int) -> None:
        self._codes: dict[str, int] = {}
        self._places: dict[str, set[int]] = {}
        self._names: list[tuple[str, ...]] = []
        self._first = Column(0, np.int32(NO_NAME))
        self.grow(length)

    @property
    def first(self) -> Int32Array:
        """The code of the first name of each place, `NO_NAME` where there is none, shape (places,)."""
        return self._first.values

    def code(self, name: str) -> int:
        """What stands in `first` for that name; `NO_NAME` for one that nothing has had as its first."""
        return self._codes.get(name, NO_NAME)

    def names(self, place: int) -> tuple[str, ...]:
        """Those of that place, in their order."""
        return self._names[place]

    def places(self, names: Iterable[str]) -> Int32Array:
        """The places that have any of these names, each once, in ascending order."""
        found: set[int] = set()
        for name in names:
            found |= self._places.get(name, set())
        return np.array(sorted(found), np.int32)

    def put(self, place: int, names: Sequence[str]) -> None:
        """What the names of that place are from now on."""
        for name in self._names[place]:
            self._places[name].discard(place)
        self._names[place] = tuple(names)
        for name in names:
            self._places.setdefault(name, set()).add(place)
        first = self._codes.setdefault(names[0], len(self._codes)) if names else NO_NAME
        self._first.put(place, first)

    def grow(self, length: int) -> None:
        """Have so many places; new ones have no names."""
        self._names.extend([()] * (length - len(self._names)))
        self._first.grow(length)
