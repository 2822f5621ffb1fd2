"""Digits: several small whole numbers in one word, which add up word by word.

A cell's numbers lie in −l…l, those of a sum of n cells in −ln…ln, which are R = 2ln + 1 numbers. Written as digits of
a numeral to the base R, digits of a sum never carry: the sum of the words has the sums of the numbers as its digits,
as long as no word leaves what a word of a masked sum may hold (`training.secure_aggregation.fixed_point.largest`).
Digits are balanced, from −ln to ln, so that fewer than n summands need no correction.

A word of 16 bits holds five numbers of l = 1 for three cells, four of l = 2, three of l = 6, two of l = 42.
"""

import numpy as np

from feature_store.arrays import Float32Array, Int64Array
from feature_store.errors import BadInput
from training.secure_aggregation.fixed_point import largest

WORD_BITS = 16


def digits_a_word(levels: int, cells: int) -> int:
    """How many numbers a word holds.

    Args:
        levels: l, the largest absolute value of a cell's number.
        cells: n, of which a sum is made at the most.

    Raises:
        BadInput: not one.

    >>> [digits_a_word(levels, cells=3) for levels in (1, 2, 6, 42)]
    [5, 4, 3, 2]
    """
    most, base, digits, reached = largest(WORD_BITS, cells), _base(levels, cells), 0, 0
    while (reached := reached * base + levels) <= most:
        digits += 1
    if not digits:
        raise BadInput(f"words of {WORD_BITS} bits hold sums of {cells} numbers up to {most}; got levels {levels}")
    return digits


def words_for(numbers: int, levels: int, cells: int) -> int:
    """How many words hold so many numbers.

    >>> words_for(9, levels=2, cells=3)
    3
    """
    return -(-numbers // digits_a_word(levels, cells))


def packed(numbers: Int64Array, levels: int, cells: int) -> Float32Array:
    """A cell's numbers as words.

    Args:
        numbers: whole, in −l…l, shape (numbers,).
        levels: l.
        cells: n.

    Returns:
        Whole numbers that float32 holds exactly, as it does a sum of n of them; shape (words,).

    Raises:
        BadInput: a number is larger than l.

    >>> packed(np.array([1, -2, 2, 0, 1]), levels=2, cells=3).tolist()
    [313.0, 1.0]
    """
    if numbers.size and (found := int(np.abs(numbers).max())) > levels:
        raise BadInput(f"numbers of {levels} levels are at most that; got {found}")
    digits = digits_a_word(levels, cells)
    rows = np.zeros((words_for(len(numbers), levels, cells), digits), np.int64)
    rows.ravel()[: len(numbers)] = numbers
    words: Float32Array = (rows @ _base(levels, cells) ** np.arange(digits)).astype(np.float32)
    return words


def unpacked(words: Float32Array, count: int, levels: int, cells: int) -> Int64Array:
    """The sums of `count` numbers from the sums of words, of n cells or of fewer.

    >>> unpacked(np.array([313 + 313, 1 + 1], np.float32), 5, levels=2, cells=3).tolist()
    [2, -4, 4, 0, 2]
    """
    base, left = _base(levels, cells), words.astype(np.int64)
    rows = np.empty((len(words), digits_a_word(levels, cells)), np.int64)
    for place in range(rows.shape[1]):
        rows[:, place] = (left + levels * cells) % base - levels * cells
        left = (left - rows[:, place]) // base
    return rows.ravel()[:count]


def _base(levels: int, cells: int) -> int:
    return 2 * levels * cells + 1
