"""The question of a round: what is known of the items by now, from which follows which sum everybody adds to.

No TensorFlow in here: a cell needs this.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self, TypeAlias

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from training.privacy.release import ALONG, COUNTS, GRAM
from training.privacy.terms import along_terms, count_terms, gram_terms

Known: TypeAlias = Float32Array
"""What is known of each item, shape (items, 0), (items, 1) or (items, 1 + d): its popularity, above 0 for the m items
that are asked about and 0 for the others, and where it lies along V."""


class Question(NamedTuple):
    """What is asked of everybody.

    popularity: above 0 for the m items that are asked about, 0 for the others, shape (items,); (0,) in the first round.
    directions: V in the space of those m, shape (m, d); (0, 0) before the last round.
    """

    popularity: Float32Array
    directions: Float32Array

    @classmethod
    def of(cls, known: Known) -> Self:
        """The question that follows from what is known."""
        if not known.shape[1]:
            return cls(np.empty(0, np.float32), np.empty((0, 0), np.float32))
        popularity = known[:, 0]
        directions = known[popularity > 0, 1:] if known.shape[1] > 1 else np.empty((0, 0), np.float32)
        return cls(popularity, directions)

    @property
    def released(self) -> str:
        """The name of the sum that it asks for."""
        if not self.popularity.size:
            return COUNTS
        return ALONG if self.directions.size else GRAM

    @property
    def chosen(self) -> Int32Array:
        """The rows of the m items that are asked about, ascending."""
        return np.flatnonzero(self.popularity).astype(np.int32)

    def terms(self, histories: Sequence[Int32Array], items: int) -> Float32Array:
        """The sum of these people's terms, shape as `shape` has it; see `training.privacy.terms`."""
        chosen = self.chosen
        popularity = self.popularity[chosen].astype(np.float64)
        if self.released == COUNTS:
            return count_terms(histories, items)
        if self.released == GRAM:
            return gram_terms(histories, items, chosen, popularity)
        return along_terms(histories, items, chosen, popularity, self.directions)

    def shape(self, items: int) -> tuple[int, ...]:
        """Of the sum that it asks for, over that many items."""
        if self.released == COUNTS:
            return (items,)
        most = int(np.count_nonzero(self.popularity))
        return self.directions.shape if self.released == ALONG else (most * (most + 1) // 2,)
