"""The announcement: what cells receive in a compressed round. All of it is public, and follows from sums.

Item vectors travel as one table for everybody, so that nobody tells by what is fetched who met what. In int8 each row
has a scale, its largest absolute number over 127, so a number is off by half of that at most. The server takes its
step from what came back for the rounded table; the table that it holds is not rounded.

A byte says the step of a row: code k is 2^((k − 160)/4), 0 that the row is not asked for.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from feature_store.arrays import Float32Array
from training.compression.settings import CompressionSettings

Int8Array: TypeAlias = npt.NDArray[np.int8]
Uint8Array: TypeAlias = npt.NDArray[np.uint8]

_ONE, _QUARTERS = 160, 4
"""The code of a step of 1, and codes to a power of two: steps are from 2^−39.75 to 2^23.75."""


class Announcement(NamedTuple):
    """What every cell of a round receives.

    table: the item vectors in units of `scales`, shape (items, dim).
    scales: of the rows, shape (items,).
    steps: the code of each row's step, 0 where it is not asked for, shape (items,); empty in the survey.
    levels: what numbers are rounded to: −levels…levels steps.
    cells: of how many a sum is made at the most.
    """

    table: Int8Array | Float32Array
    scales: Float32Array
    steps: Uint8Array
    levels: int
    cells: int

    @property
    def is_survey(self) -> bool:
        """Whether it asks how large the sums are, and for no gradient."""
        return not len(self.steps)

    @property
    def vectors(self) -> Float32Array:
        """The item vectors as cells compute with them, shape (items, dim)."""
        vectors: Float32Array = self.table.astype(np.float32) * self.scales[:, None]
        return vectors

    @property
    def nbytes(self) -> int:
        """What a cell receives."""
        return self.table.nbytes + self.scales.nbytes + self.steps.nbytes


def announced(vectors: Float32Array, steps: Uint8Array, settings: CompressionSettings) -> Announcement:
    """The announcement of these item vectors.

    >>> vectors = np.array([[0.5, -1.27]], np.float32)
    >>> announced(vectors, np.empty(0, np.uint8), CompressionSettings()).table.tolist()
    [[50, -127]]
    """
    if settings.table == "float32":
        return Announcement(vectors, np.ones(len(vectors), np.float32), steps, settings.levels, settings.cells)
    scales = (np.abs(vectors).max(axis=1) / 127).astype(np.float32)
    units = np.divide(vectors, scales[:, None], out=np.zeros_like(vectors), where=scales[:, None] > 0)
    table = np.clip(np.rint(units), -127, 127).astype(np.int8)
    return Announcement(table, scales, steps, settings.levels, settings.cells)


def step_codes(steps: Float32Array) -> Uint8Array:
    """The codes of the nearest steps, each at least 1; steps: > 0.

    >>> step_codes(np.array([1, 0.5, 1e-30], np.float32)).tolist()
    [160, 156, 1]
    """
    tiny = np.finfo(np.float32).tiny
    codes = np.rint(_QUARTERS * np.log2(np.maximum(steps, tiny))) + _ONE
    clipped: Uint8Array = np.clip(codes, 1, 255).astype(np.uint8)
    return clipped


def steps_of(codes: Uint8Array) -> Float32Array:
    """The steps of codes that are not 0.

    >>> steps_of(np.array([160, 156], np.uint8)).tolist()
    [1.0, 0.5]
    """
    steps: Float32Array = np.exp2((codes.astype(np.float32) - _ONE) / _QUARTERS)
    return steps
