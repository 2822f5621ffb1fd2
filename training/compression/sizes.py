"""Sizes: the bytes of a compressed round, as words that masks add; what masks cost besides is not among them."""

from dataclasses import replace

from training.compression.digits import WORD_BITS, words_for
from training.compression.settings import CompressionSettings
from training.compression.turns import rows_asked
from training.loop import RoundReport

WIDE = 2
"""Words for each number that is not of the gradient: 32 bits of a bound that holds for everybody's sums."""
_SCALAR_BYTES = 16  # loss and clients, in words that keep all that a float64 has


def uplink_bytes(round_number: int, items: int, dim: int, settings: CompressionSettings) -> int:
    """What a cell sends in a round.

    round_number: 1 is the survey.

    >>> uplink_bytes(1, 3628, 64, CompressionSettings()), uplink_bytes(2, 3628, 64, CompressionSettings())
    (51876, 60592)
    """
    word = WORD_BITS // 8
    gram = dim * (dim + 1) // 2
    if round_number == 1:
        return (gram + 3 * items + 1) * WIDE * word + _SCALAR_BYTES
    words = words_for(rows_asked(items, settings.rows) * dim, settings.levels, settings.cells)
    return words * word + gram * WIDE * word + _SCALAR_BYTES


def with_words(report: RoundReport, items: int, dim: int, settings: CompressionSettings | None) -> RoundReport:
    """The report with the bytes that a cell's words take; settings: None leaves it as it is."""
    if settings is None:
        return report
    return replace(report, uplink_bytes_per_client=uplink_bytes(report.round_number, items, dim, settings))
