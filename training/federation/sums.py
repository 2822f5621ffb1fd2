"""Sums: what a reply holds, and what replies add up to. Two of them make a third, and nobody can tell which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array
from training.client_update import ClientUpdate
from training.federation.errors import BadMessage


class Form(NamedTuple):
    """What sums are: all that a task fixes of them, and how they become integers where they are added under masks.

    numbers: their names, ascending.
    shapes: of the arrays, by name.
    bounds: the largest absolute value of one cell's number, or of any in its array, by name; for each of both.
    words: how many words stand for each number of an array, by name, where it is more than one; see
        `training.federation.fixed_sums`. Numbers that are no arrays have as many as they need.
    word_bits: of a word, under masks: 8, 16, 32 or 64.
    """

    numbers: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    bounds: Mapping[str, float]
    words: Mapping[str, int] = MappingProxyType({})
    word_bits: int = 32


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over people.

    numbers: such as how many people; float64.
    arrays: float32.
    """

    numbers: Mapping[str, float]
    arrays: Mapping[str, Float32Array]

    def require(self, form: Form) -> None:
        """Raise `BadMessage`, naming both, unless they are of that form and within its bounds."""
        numbers, shapes = tuple(sorted(self.numbers)), {name: array.shape for name, array in self.arrays.items()}
        if (numbers, shapes) != (form.numbers, form.shapes):
            raise BadMessage(f"sums of {form.numbers} and arrays of {form.shapes} are due; got {numbers} and {shapes}")
        largest = {name: abs(number) for name, number in self.numbers.items()}
        largest |= {name: float(np.abs(array).max(initial=0)) for name, array in self.arrays.items()}
        for name, found in largest.items():
            if not found <= form.bounds[name]:
                raise BadMessage(f"{name} is between {-form.bounds[name]:g} and {form.bounds[name]:g}; got {found:g}")


def added(sums: Sequence[Sums]) -> Sums:
    """The total of at least one, all of one form, in their order."""
    first, *others = sums
    numbers, arrays = dict(first.numbers), {name: np.array(array) for name, array in first.arrays.items()}
    for other in others:
        numbers = {name: number + other.numbers[name] for name, number in numbers.items()}
        for name in arrays:
            arrays[name] += other.arrays[name]
    return Sums(numbers, arrays)


def of_update(update: ClientUpdate) -> Sums:
    """A client update as sums."""
    return Sums({"loss": update.loss, "clients": float(update.clients)}, update.sums)


def to_update(sums: Sums) -> ClientUpdate:
    """The client update that `of_update` was given."""
    return ClientUpdate(sums.arrays, sums.numbers["loss"], round(sums.numbers["clients"]))
