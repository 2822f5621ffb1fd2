"""Sums in fixed point: from the form of sums to the layout that masks add, from sums to its fields, and back.

An array is one field of the layout (`training.secure_aggregation.fixed_point`), or several where one word a number is
too coarse: the first holds the number rounded to its step, the next what that leaves, in steps as much finer as words
have bits. Each adds up exactly, so their sums do; only what the last one leaves is lost. A number that is no array has
as many words as keep all that float64 has of it, so counts come back exact.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from feature_store.arrays import Float64Array
from training.federation.sums import Form, Sums
from training.secure_aggregation.fixed_point import Field, Layout, step

_FLOAT_BITS = 52  # that float64 keeps behind the first


def layout_of(form: Form, cells: int) -> Layout:
    """What each of so many cells sends."""
    fields = [field for name in _names(form) for field in _parts(form, name, cells)]
    return Layout(tuple(fields), form.word_bits)


def to_values(sums: Sums, form: Form, cells: int) -> dict[str, Float64Array]:
    """One cell's sums as the values of that layout's fields."""
    values = dict[str, Float64Array]()
    for name in _names(form):
        left = np.array([sums.numbers[name]]) if name in form.numbers else sums.arrays[name].astype(np.float64)
        for field in _parts(form, name, cells):
            size = step(field, form.word_bits, cells)
            values[field.name] = np.rint(left / size) * size
            left = left - values[field.name]  # exact: the low bits of a float64, whose high bits are taken away
        values[field.name] += left  # the last field's words are rounded where they are made
    return values


def of_values(values: Mapping[str, Float64Array], form: Form, cells: int) -> Sums:
    """The sums that values add up to; cells: as they were encoded for."""
    totals = {name: sum(values[field.name] for field in _parts(form, name, cells)) for name in _names(form)}
    numbers = {name: float(np.asarray(totals[name]).item()) for name in form.numbers}
    return Sums(numbers, {name: np.asarray(totals[name], np.float32) for name in form.shapes})


def largest_error(form: Form, name: str, cells: int) -> float:
    """What a number of the total may be off by, in each of the additions, before it is a float again."""
    *_, last = _parts(form, name, cells)
    return cells * step(last, form.word_bits, cells) / 2


def _names(form: Form) -> list[str]:
    return sorted([*form.numbers, *form.shapes])


def _parts(form: Form, name: str, cells: int) -> Iterator[Field]:
    """The fields of one number or array, coarse ones first."""
    shape, words = form.shapes.get(name, (1,)), form.words.get(name, 1)
    bound, finest, place = form.bounds[name], form.bounds[name] * 2.0**-_FLOAT_BITS, 1
    while True:
        field = Field(name if place == 1 else f"{name} {place}", shape, bound)
        yield field
        size = step(field, form.word_bits, cells)
        if size <= finest or (name in form.shapes and place >= words):
            return
        bound, place = size / 2, place + 1
