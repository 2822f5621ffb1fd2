"""Sums: what a reply holds, and what replies add up to. Two of them make a third, and nobody can tell which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate
from training.federation.errors import BadMessage


class Form(NamedTuple):
    """Names and shapes of sums: all that a task fixes of them.

    numbers: their names, ascending.
    shapes: of the arrays, by name.
    """

    numbers: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over people.

    numbers: such as how many people; float64.
    arrays: float32.
    """

    numbers: Mapping[str, float]
    arrays: Mapping[str, Float32Array]

    @property
    def form(self) -> Form:
        """Their names and shapes."""
        return Form(tuple(sorted(self.numbers)), {name: tuple(array.shape) for name, array in self.arrays.items()})

    def require(self, form: Form) -> None:
        """Raise `BadMessage`, naming both, unless they are of that form."""
        if self.form != form:
            raise BadMessage(f"sums of {form} are due; got {self.form}")


POPULATION = Form(("clients", "judged", "unknown_items", "unreadable"), {})
ADOPTION = Form(("failed", "folded", "people"), {})


def round_form(items: int, dim: int) -> Form:
    """The sums of a round: those of `training.reconstruction.curvature_update`, the losses and the clients."""
    shapes = {"item_gradient": (items, dim), "user_gram": (dim, dim), "item_energy": (items,)}
    return Form(("clients", "loss"), shapes | {ITEM_COUNTS: (items,), ACTIVITY: (1,)})


def evaluation_form(items: int) -> Form:
    """The sums of an evaluation: over the people judged; `shown` counts how often an item was in a top 20."""
    return Form(("hr_10", "ndcg", "people", "recall"), {"shown": (items,)})


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
