"""Conditions on items: which of an assortment have these names and lie within these ranges.

    {"categories": ["wine", "beer"], "price": {"max": 20}}

holds for what is of one of the two categories and costs at most 20. Filters, rules and boosts of a placement are made
of them, and so are the filters of a request.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, TypeAlias

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from feature_store.arrays import BoolArray, Int32Array

if TYPE_CHECKING:  # a parent of workers reads conditions, and has no use for compiled loops over items
    from serving.assortment.assortment import Assortment

LONGEST_NAME = 256
MOST_NAMES = 100  # in one field of a condition
MOST_FIELDS = 20
AS_NAMES, AS_RANGE = "<names>", "<range>"  # how what is wanted of a field was read; pydantic puts it into places
ITEM_ID = "item_id"  # the field that every item has, in every assortment


class Range(BaseModel):
    """Numbers from `min` to `max`, both included; what has no number is in no range."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    min: Annotated[float, Field(allow_inf_nan=False)] | None = None
    max: Annotated[float, Field(allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Range":
        if self.min is None and self.max is None:
            raise ValueError("a range has a min, a max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("the min of a range is at most its max")
        return self


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
NamesAmong: TypeAlias = Annotated[
    tuple[_Name, ...], BeforeValidator(_several), Field(min_length=1, max_length=MOST_NAMES, strict=False)
]


def _kind(value: object) -> str | None:
    """By which of the two a value is judged, so that what is wrong with it is told of that one alone."""
    if isinstance(value, (dict, Range)):
        return AS_RANGE
    return AS_NAMES if isinstance(value, (str, list, tuple)) else None


_Wanted: TypeAlias = Annotated[
    Annotated[NamesAmong, Tag(AS_NAMES)] | Annotated[Range, Tag(AS_RANGE)],
    Discriminator(
        _kind,
        custom_error_type="no_condition",
        custom_error_message="a name, an array of names, or an object with min, max or both is required",
    ),
]
Condition: TypeAlias = Annotated[Mapping[_Name, _Wanted], Field(max_length=MOST_FIELDS)]
"""Field -> names, of which an item has at least one, or the range of its number; all fields must hold."""


def unknown_fields(condition: Condition, assortment: "Assortment") -> list[str]:
    """Fields that no item of the assortment has, or that hold numbers where names are asked for, or the other way."""
    return [
        field
        for field, wanted in condition.items()
        if (field != ITEM_ID or isinstance(wanted, Range))
        and (assortment.numbers(field) if isinstance(wanted, Range) else assortment.names(field)) is None
    ]


def holds(condition: Condition, assortment: "Assortment") -> BoolArray:
    """For which items it holds, shape (places,), not to be written to; an empty one holds for all."""
    masks = [_mask(field, wanted, assortment) for field, wanted in condition.items()]
    if len(masks) == 1:
        return masks[0]
    result = np.ones(len(assortment), np.bool_)
    for mask in masks:
        result &= mask
    return result


def places_of(condition: Condition, assortment: "Assortment") -> Int32Array:
    """Where the items stand for which it holds, ascending, not to be written to; an empty one holds for all."""
    if not condition:
        return np.arange(len(assortment), dtype=np.int32)
    (field, wanted), *further = condition.items()
    places = assortment.kept.places((field, wanted), assortment.version, _making(field, wanted, assortment))
    return places[holds_at(dict(further), assortment, places)] if further else places


def holds_at(condition: Condition, assortment: "Assortment", places: Int32Array) -> BoolArray:
    """For which of those places it holds, shape (n,), a new array."""
    masks = [_mask(field, wanted, assortment) for field, wanted in condition.items()]
    if not masks:
        return np.ones(len(places), np.bool_)
    result: BoolArray = masks[0].take(places)
    for mask in masks[1:]:
        result &= mask.take(places)
    return result


def _mask(field: str, wanted: tuple[str, ...] | Range, assortment: "Assortment") -> BoolArray:
    """For which items one field of a condition holds; as long as the catalogue stays, it is worked out once."""
    return assortment.kept.mask((field, wanted), assortment.version, _making(field, wanted, assortment))


def _making(field: str, wanted: tuple[str, ...] | Range, assortment: "Assortment") -> Callable[[], BoolArray]:
    def make() -> BoolArray:
        return _within(wanted, field, assortment) if isinstance(wanted, Range) else _among(wanted, field, assortment)

    return make


def _within(wanted: Range, field: str, assortment: "Assortment") -> BoolArray:
    """What has no number is in no range: nothing is above or below NaN."""
    numbers = assortment.numbers(field)
    if numbers is None:
        return np.zeros(len(assortment), np.bool_)
    lowest = -np.inf if wanted.min is None else wanted.min
    highest = np.inf if wanted.max is None else wanted.max
    return (numbers >= lowest) & (numbers <= highest)


def _among(wanted: tuple[str, ...], field: str, assortment: "Assortment") -> BoolArray:
    found = np.zeros(len(assortment), np.bool_)
    names = assortment.names(field)
    if field == ITEM_ID:
        found[assortment.places(wanted)] = True
    elif names is not None:
        found[names.places(wanted)] = True
    return found
