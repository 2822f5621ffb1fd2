"""Fixed point, beside sums of exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from tests.training.secure_aggregation import independent
from training.secure_aggregation.errors import OutOfRange
from training.secure_aggregation.fixed_point import (
    Field,
    Layout,
    decode,
    encode,
    largest,
    step,
    word_bits_for,
)

bounds = st.floats(2.0**-40, 2.0**40, width=32)
bits = st.sampled_from([8, 16, 32, 64])


def layout_of(shape: tuple[int, ...], bound: float = 1.0, word_bits: int = 32) -> Layout:
    return Layout((Field("w", shape, bound),), word_bits)


def exact_sum(arrays: list[np.ndarray]) -> list[Fraction]:
    return [sum((Fraction(float(x)) for x in column), Fraction(0)) for column in zip(*arrays, strict=True)]


@given(bits, bounds, st.integers(1, 100), st.data())
def test_a_sum_is_as_near_as_said(word_bits: int, bound: float, summands: int, data: st.DataObject) -> None:
    layout = layout_of((3,), bound, word_bits)
    numbers = st.lists(st.floats(-bound, bound, width=32), min_size=3, max_size=3)
    arrays = [np.array(data.draw(numbers), np.float32) for _ in range(min(summands, 5))]
    size = Fraction(step(layout.fields[0], word_bits, summands))
    assert size == independent.step_of(bound, word_bits, summands)
    exact = exact_sum(arrays)
    for rounding, each in ((None, size / 2), ([1], size)):
        words = [encode({"w": array}, layout, summands, rounding) for array in arrays]
        total = decode(np.sum(words, axis=0, dtype=words[0].dtype), layout, summands)["w"]
        for got, expected in zip(total, exact, strict=True):
            slack = abs(expected) / 2**52 if word_bits == 64 else 0  # that of a float64
            assert abs(Fraction(float(got)) - expected) <= len(arrays) * each + slack


@given(bits, bounds, st.integers(1, 60), st.sampled_from([-1, 1]), st.sampled_from([None, [0]]))
def test_the_largest_sum_does_not_wrap_around(
    word_bits: int, bound: float, summands: int, sign: int, rounding: list[int] | None
) -> None:
    layout = layout_of((2,), bound, word_bits)
    extreme = {"w": np.full(2, sign * bound, np.float32)}
    words = sum(encode(extreme, layout, summands, rounding) for _ in range(summands))
    error = summands * step(layout.fields[0], word_bits, summands)
    assert decode(words, layout, summands)["w"] == pytest.approx(sign * bound * summands, abs=error, rel=2**-50)


@given(st.lists(st.lists(st.integers(-5000, 5000), min_size=3, max_size=3), min_size=1, max_size=100))
def test_whole_numbers_come_back_exact(counts: list[list[int]]) -> None:
    layout = layout_of((3,), 5000.0)
    words = [encode({"w": np.array(one, np.float32)}, layout, 100) for one in counts]
    total = decode(np.sum(words, axis=0, dtype=np.uint32), layout, 100)["w"]
    assert total.tolist() == [sum(column) for column in zip(*counts, strict=True)]


def test_rounding_at_random_is_right_on_average_and_rounding_to_the_nearest_is_not() -> None:
    layout = layout_of((20_000,), 100.0, 8)
    size = step(layout.fields[0], 8, 1)
    values = {"w": np.full(20_000, size * 0.2, np.float32)}
    rounded = decode(encode(values, layout, 1, [3]), layout, 1)["w"]
    assert set(rounded.tolist()) == {0.0, size}
    assert rounded.mean() == pytest.approx(size * 0.2, abs=4 * size * (0.16 / 20_000) ** 0.5)
    assert decode(encode(values, layout, 1), layout, 1)["w"].max() == 0
    other = decode(encode(values, layout, 1, [4]), layout, 1)["w"]
    assert (rounded != other).any()


@given(st.floats(width=32), bounds)
def test_a_number_beyond_the_bound_is_refused_by_name(number: float, bound: float) -> None:
    assume(not abs(number) <= bound)
    layout = Layout((Field("fine", (1,), 1.0), Field("large", (4,), bound)))
    values = {"fine": np.zeros(1, np.float32), "large": np.array([0, 0, number, 0], np.float32)}
    with pytest.raises(OutOfRange, match=r"field large holds numbers between .* number 2 of 4 is"):
        encode(values, layout, 3)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"w": np.zeros(3, np.float32), "more": np.zeros(1, np.float32)},
        {"w": np.zeros(4, np.float32)},
        {"w": np.zeros((3, 1), np.float32)},
    ],
)
def test_fields_are_those_of_the_layout(values: dict[str, np.ndarray]) -> None:
    with pytest.raises(BadInput, match=r"the round adds up fields of shapes \{'w': \(3,\)\}; got"):
        encode(values, layout_of((3,)), 3)


def test_fields_lie_one_after_the_other_and_come_back_in_their_shapes() -> None:
    layout = Layout((Field("a", (2, 2), 8.0), Field("none", (0, 3), 8.0), Field("one", (), 8.0)), 16)
    values = {
        "one": np.array(7, np.float32),
        "a": np.array([[1, 2], [3, -4]], np.float32),
        "none": np.zeros((0, 3), np.float32),
    }
    words = encode(values, layout, 3)
    assert words.dtype == np.dtype("<u2")
    assert (words.astype(np.int64) / words[0]).tolist() == [1, 2, 3, 2**16 / words[0] - 4, 7]
    back = decode(words, layout, 3)
    assert {name: array.tolist() for name, array in back.items()} == {
        name: array.tolist() for name, array in values.items()
    }


@given(st.integers(2, 40), st.integers(1, 1000))
def test_the_words_asked_for_keep_the_bits_asked_for(bits_kept: int, summands: int) -> None:
    word_bits = word_bits_for(bits_kept, summands)
    assert largest(word_bits, summands) >= 2 ** (bits_kept - 1) - 1
    assert word_bits == 8 or (word_bits // 2) < bits_kept + (summands - 1).bit_length()


def test_layouts_that_are_none_are_refused() -> None:
    with pytest.raises(BadInput, match="a sum of 200 does not fit words of 8 bits"):
        step(Field("w", (1,), 1.0), 8, 200)
    with pytest.raises(BadInput, match="need 72 bits"):
        word_bits_for(64, 200)
    with pytest.raises(BadInput, match="each with a name of its own"):
        Layout((Field("w", (1,), 1.0), Field("w", (2,), 1.0)))
    with pytest.raises(BadInput, match="each with a name of its own"):
        Layout(())
    with pytest.raises(BadInput, match=r"words have \(8, 16, 32, 64\) bits; got 24"):
        layout_of((1,), 1.0, 24)
    with pytest.raises(BadInput, match="a layout holds 1 to 268,435,456 numbers; got 4,294,967,296"):
        layout_of((1 << 16, 1 << 16))
    with pytest.raises(BadInput, match="a layout holds 1 to"):
        layout_of((0,))
    for bound in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(BadInput, match="field w has a bound between"):
            Field("w", (1,), bound)
    with pytest.raises(BadInput, match="has a shape that is none"):
        Field("w", (-1,), 1.0)
    with pytest.raises(BadInput, match="a name of 1 to 255 bytes"):
        Field("", (1,), 1.0)
