"""Sums in fixed point: added as integers they are what they were, as near as was said, and counts exactly."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.federation.fixed_sums import largest_error, layout_of, of_values, to_values
from training.federation.forms import ADOPTION, PEOPLE, POPULATION
from training.federation.sums import Form, Sums
from training.secure_aggregation.fixed_point import decode, encode, step

LARGE = 2.0**72


def form(word_bits: int, words: int) -> Form:
    bounds = {"people": 2.0**40, "loss": LARGE, "gradient": 256.0, "counts": 100.0}
    return Form(("loss", "people"), {"gradient": (3, 2), "counts": (4,)}, bounds, {"gradient": words}, word_bits)


def random_sums(seed: int, of: Form) -> Sums:
    random = np.random.default_rng(seed)
    numbers = {"people": float(random.integers(0, 2**40, endpoint=True)), "loss": float(random.uniform(0, LARGE))}
    arrays = {name: random.uniform(-1, 1, shape) * of.bounds[name] for name, shape in of.shapes.items()}
    arrays["counts"] = np.rint(arrays["counts"])
    return Sums(numbers, {name: array.astype(np.float32) for name, array in arrays.items()})


def added_up(cells: list[Sums], of: Form) -> Sums:
    """As masks that cancel leave them: words added mod 2^bits."""
    layout, count = layout_of(of, len(cells)), len(cells)
    words = [encode(to_values(sums, of, count), layout, count) for sums in cells]
    return of_values(decode(np.sum(words, axis=0, dtype=words[0].dtype), layout, count), of, count)


@given(
    st.lists(st.integers(0, 2**32), min_size=3, max_size=9, unique=True),
    st.sampled_from([16, 32, 64]),
    st.integers(1, 3),
)
@settings(deadline=None)
def test_a_total_is_as_near_as_was_said_and_counts_are_exact(seeds: list[int], word_bits: int, words: int) -> None:
    of = form(word_bits, words)
    cells = [random_sums(seed, of) for seed in seeds]
    total = added_up(cells, of)
    assert total.numbers["people"] == sum(sums.numbers["people"] for sums in cells)
    exact = float(sum(Fraction(sums.numbers["loss"]) for sums in cells))
    assert total.numbers["loss"] == pytest.approx(exact, rel=1e-15, abs=len(cells) * LARGE * 2.0**-53)
    for name in of.shapes:
        expected = np.sum([sums.arrays[name].astype(np.float64) for sums in cells], axis=0)
        near = largest_error(of, name, len(cells)) + np.spacing(np.float32(of.bounds[name] * len(cells)))
        np.testing.assert_allclose(total.arrays[name], expected, rtol=0, atol=near)
    if word_bits > 16:
        assert np.array_equal(total.arrays["counts"], np.sum([sums.arrays["counts"] for sums in cells], axis=0))


@given(
    st.sampled_from([ADOPTION, PEOPLE, POPULATION]),
    st.lists(st.one_of(st.integers(0, 1000), st.integers(0, 2**40)), min_size=3, max_size=99),
)
@settings(deadline=None)
def test_people_and_items_that_cells_count_add_up_exactly(of: Form, counts: list[int]) -> None:
    numbers = [dict.fromkeys(of.numbers, float(count)) for count in counts]
    total = added_up([Sums(cell, {}) for cell in numbers], of)
    assert total.numbers == dict.fromkeys(of.numbers, float(sum(counts)))


def test_a_second_word_is_as_much_finer_as_words_have_bits() -> None:
    one, two = (largest_error(form(32, words), "gradient", 3) for words in (1, 2))
    assert one == 3 * 2.0**-21 / 2
    assert two < one * 2.0**-28
    layout = layout_of(form(32, 2), 3)
    coarse, fine = (field for field in layout.fields if field.name.startswith("gradient"))
    assert (coarse.name, fine.name, coarse.shape) == ("gradient", "gradient 2", (3, 2))
    assert fine.bound == step(coarse, 32, 3) / 2


def test_what_is_at_its_bound_in_every_cell_does_not_wrap_around() -> None:
    of = form(16, 2)
    arrays = {name: np.full(shape, of.bounds[name], np.float32) for name, shape in of.shapes.items()}
    for sign in (1, -1):
        cell = Sums({"people": 2.0**40, "loss": LARGE}, {name: sign * array for name, array in arrays.items()})
        total = added_up([cell] * 7, of)
        assert total.numbers == {"people": 7 * 2.0**40, "loss": 7 * LARGE}
        assert all((total.arrays[name] == 7 * sign * array).all() for name, array in arrays.items())
