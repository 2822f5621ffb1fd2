"""Candidates: the items that one source proposes, best first."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput

Source: TypeAlias = Literal[
    "personal", "blended", "popular", "fresh", "similar", "graph", "new_authors", "pinned", "promoted", "ad"
]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Items and their scores from one source.

    places: distinct places of an assortment (of an index: rows of its vectors), best first, shape (n,).
    scores: shape (n,), never rising; comparable within one source only.
    source: who proposes them; each item of a reply names it.
    """

    places: Int32Array
    scores: Float32Array
    source: Source

    def __post_init__(self) -> None:
        if self.places.ndim != 1 or self.places.shape != self.scores.shape:
            raise BadInput(
                f"candidates have a score for each place; got places {self.places.shape}, {self.scores.shape}"
            )

    def __len__(self) -> int:
        return len(self.places)


def nothing(source: Source) -> Candidates:
    """No candidate at all."""
    return Candidates(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32), source)


def best_of(places: Int32Array, scores: Float32Array, k: int, source: Source) -> Candidates:
    """The k best of these, by falling score, of equal scores the lower place first.

    places: ascending.
    scores: of those places.
    """
    if k < len(places):
        # All that tie with the last of the best stay in, so that the order among them is decided below.
        last = np.partition(scores, len(scores) - k)[len(scores) - k]
        among = np.flatnonzero(scores >= last)
        places, scores = places[among], scores[among]
    order = np.argsort(-scores, kind="stable")[:k]
    return Candidates(places[order], scores[order], source)
