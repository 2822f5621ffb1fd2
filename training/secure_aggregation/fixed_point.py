"""Fixed point: named arrays of floats as integers that add up exactly, mod 2^bits.

With n summands each integer is at most m = ⌊(2^(bits−1) − 1)/n⌋ in absolute value, so that no sum wraps around. A
field whose numbers lie in [−bound, bound] counts in steps of the smallest power of two, step, with ⌈bound/step⌉ ≤ m.
As step is a power of two, whole numbers up to m come back exact, and a sum is exactly that of the rounded numbers.

Error of a sum of n: rounded to the nearest, at most n·step/2 a coordinate; rounded at random, below n·step, and 0 in
expectation, with a standard deviation of at most √n·step/2. With words of 64 bits a sum is rounded to float64 besides.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Float64Array
from feature_store.errors import BadInput
from training.secure_aggregation.errors import OutOfRange
from training.secure_aggregation.masks import Words, word_type

WORD_BITS = (8, 16, 32, 64)
MOST_NUMBERS = 1 << 28  # a mask is one stream of ChaCha20, whose counter ends at 2^32 blocks of 64 bytes
_LEAST_BOUND, _MOST_BOUND = 2.0**-100, 2.0**127


@dataclass(frozen=True, slots=True)
class Field:
    """One array of a sum: its name, its shape, and how large a client's numbers may be in absolute value."""

    name: str
    shape: tuple[int, ...]
    bound: float

    def __post_init__(self) -> None:
        if not 0 < len(self.name.encode()) < 256:
            raise BadInput(f"a field has a name of 1 to 255 bytes; got {self.name!r}")
        if len(self.shape) > 255 or any(not 0 <= length < 1 << 32 for length in self.shape):
            raise BadInput(f"field {self.name} has a shape that is none: {self.shape}")
        if not _LEAST_BOUND <= self.bound <= _MOST_BOUND:
            raise BadInput(f"field {self.name} has a bound between 2^-100 and 2^127; got {self.bound}")

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a client's words are: the fields one after the other, in this order, and how many bits a word has."""

    fields: tuple[Field, ...]
    word_bits: int = 32

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if not names or len(set(names)) < len(names) or len(names) >= 1 << 16:
            raise BadInput(f"a layout has one field or more, each with a name of its own; got {names[:100]}")
        if self.word_bits not in WORD_BITS:
            raise BadInput(f"words have {WORD_BITS} bits; got {self.word_bits}")
        if not 0 < self.numbers <= MOST_NUMBERS:
            raise BadInput(f"a layout holds 1 to {MOST_NUMBERS:,} numbers; got {self.numbers:,}")

    @property
    def numbers(self) -> int:
        """How many numbers all fields hold, which is how many words a client sends."""
        return sum(field.numbers for field in self.fields)


def word_bits_for(bits_kept: int, summands: int) -> int:
    """The smallest size of words in which a sum keeps so many bits of each summand, its sign included.

    >>> word_bits_for(16, 3), word_bits_for(8, 100)
    (32, 16)
    """
    needed = bits_kept + math.ceil(math.log2(summands))
    for bits in WORD_BITS:
        if needed <= bits:
            return bits
    raise BadInput(
        f"{summands} summands of {bits_kept} bits need {needed} bits, and words have at most {WORD_BITS[-1]}"
    )


def largest(word_bits: int, summands: int) -> int:
    """m, the largest integer that a coordinate of one of so many summands may be."""
    most = ((1 << (word_bits - 1)) - 1) // summands
    if not most:
        raise BadInput(f"a sum of {summands} does not fit words of {word_bits} bits")
    return most


def step(field: Field, word_bits: int, summands: int) -> float:
    """What one of the integers stands for in this field: a power of two.

    >>> step(Field("gradient", (3,), 1.0), 32, 3) == 2.0**-29
    True
    """
    most = largest(word_bits, summands)
    exponent = math.frexp(field.bound / most)[1] - 1  # bound/most lies within [2^exponent, 2^(exponent + 1))
    return math.ldexp(1.0, exponent if math.ceil(math.ldexp(field.bound, -exponent)) <= most else exponent + 1)


def encode(
    values: Mapping[str, Float32Array | Float64Array],
    layout: Layout,
    summands: int,
    rounding: Sequence[int] | None = None,
) -> Words:
    """One client's arrays as words.

    Args:
        values: one array for each field of the layout, of its shape.
        layout: see there.
        summands: of how many clients at most a sum will be.
        rounding: a seed to round at random by, without bias; None rounds to the nearest. It is not a secret, and
            another one for each client and round makes errors independent.

    Raises:
        BadInput: names or shapes are not the layout's.
        OutOfRange: a number is above its field's bound, or none; the message names the field.
    """
    shapes = {name: tuple(array.shape) for name, array in values.items()}
    if shapes != (expected := {field.name: field.shape for field in layout.fields}):
        raise BadInput(f"the round adds up fields of shapes {expected}; got {shapes}")
    random = None if rounding is None else np.random.default_rng(rounding)
    words = np.empty(layout.numbers, word_type(layout.word_bits))
    start = 0
    for field in layout.fields:
        array = values[field.name].ravel()
        _require_within(field, array)
        scaled = array.astype(np.float64) / step(field, layout.word_bits, summands)
        if random is None:
            whole = np.rint(scaled)
        else:
            whole = np.floor(scaled)
            whole += random.random(len(scaled)) < scaled - whole
        words[start : start + field.numbers] = whole.astype(np.int64)  # wraps around: −1 is 2^bits − 1
        start += field.numbers
    return words


def decode(words: Words, layout: Layout, summands: int) -> dict[str, Float64Array]:
    """The sum as named float64 arrays; summands: what it was encoded for, not how many came."""
    signed = words.view(f"<i{layout.word_bits // 8}")
    decoded, start = {}, 0
    for field in layout.fields:
        part = signed[start : start + field.numbers].astype(np.float64)
        decoded[field.name] = (part * step(field, layout.word_bits, summands)).reshape(field.shape)
        start += field.numbers
    return decoded


def _require_within(field: Field, array: Float32Array | Float64Array) -> None:
    if not array.size:
        return
    low, high = float(array.min()), float(array.max())
    if not (-field.bound <= low and high <= field.bound):  # false for what is not a number, too
        worst = int(np.argmax(np.where(np.isnan(array), np.inf, np.abs(array))))
        raise OutOfRange(
            f"field {field.name} holds numbers between {-field.bound:g} and {field.bound:g}; number {worst} of "
            f"{array.size:,} is {array[worst]:g}"
        )
