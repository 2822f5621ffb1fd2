"""The log of a split by date: every meeting that train may know of, repeats included, with its age.

The train part of a split holds each item of a person once. How often and how long ago is told here, for what weighs by
recency: an item's prior, a person's own history.
"""

from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array
from feature_store.errors import BadInput

DAY = 86_400.0  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class MeetingLog:
    """Who met what how long before the end of the train part.

    clients, items: client numbers and item rows; int32, shape (meetings,).
    ages: seconds from the meeting to the end of the train part, at least 0; float64, shape (meetings,).
    """

    clients: Int32Array
    items: Int32Array
    ages: Float64Array

    def __post_init__(self) -> None:
        if not len(self.clients) == len(self.items) == len(self.ages):
            sizes = len(self.clients), len(self.items), len(self.ages)
            raise BadInput(f"a log has one client, item and age a meeting; got {sizes[0]}, {sizes[1]} and {sizes[2]}")
        if self.ages.size and not self.ages.min() >= 0:
            raise BadInput(f"the ages of meetings are at least 0 seconds; got {self.ages.min()}")

    def weights(self, half_life: float) -> Float32Array:
        """2^(−age / half_life) of each meeting, shape (meetings,); an infinite half-life (seconds) counts all alike.

        Raises:
            BadInput: the half-life is not above 0.
        """
        if not half_life > 0:
            raise BadInput(f"a half-life is above 0 seconds; got {half_life}")
        return np.exp2(-self.ages / half_life).astype(np.float32)


def recent_counts(log: MeetingLog, items: int, half_life: float) -> Float32Array:
    """How often each item was met, a meeting counting half with each half-life (seconds) of age; shape (items,).

    A sum with one term a client, each of which follows from that client's own meetings: it adds securely, as the item
    counts of a round do.
    """
    return np.bincount(log.items, log.weights(half_life), minlength=items).astype(np.float32)
