"""Candidates: the items that one source proposes, best first."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput

Source: TypeAlias = Literal["personal", "blended", "popular"]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Items and their scores from one source.

    rows: distinct item rows, best first, shape (n,).
    scores: shape (n,), never rising; comparable within one source only.
    source: who proposes them; each item of a reply names it.
    """

    rows: Int32Array
    scores: Float32Array
    source: Source

    def __post_init__(self) -> None:
        if self.rows.ndim != 1 or self.rows.shape != self.scores.shape:
            raise BadInput(f"candidates have a score for each row; got rows {self.rows.shape}, {self.scores.shape}")

    def __len__(self) -> int:
        return len(self.rows)


NOTHING = Candidates(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32), "popular")
"""No candidate at all."""
