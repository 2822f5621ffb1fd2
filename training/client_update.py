"""The client update: all that ever leaves a device."""

from collections.abc import Mapping
from dataclasses import dataclass

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput

WEIGHT = "weight"
"""The sum of what each client's delta counts by: of its examples, or of 1."""

ACTIVITY = "activity"
"""The sum of what each client counts by for its activity, where its sums are weighed by that."""

ITEM_COUNTS = "item_counts"
"""The sum of 0 or 1 an item: whether the client has met it."""


@dataclass(frozen=True, slots=True, eq=False)
class ClientUpdate:
    """Sums over one client or over many: nobody can tell which, and two of them add up to a third.

    There is no field for a single person, an item list or a user embedding, and no shape depends on who took
    part; the sums are what a secure aggregation can add without seeing a summand.

    sums: named float32 arrays; which names and shapes, the algorithm says.
    loss: the clients' local losses before the step, summed.
    clients: how many clients were summed.
    """

    sums: Mapping[str, Float32Array]
    loss: float
    clients: int

    def __add__(self, other: "ClientUpdate") -> "ClientUpdate":
        shapes, others = ({name: array.shape for name, array in update.sums.items()} for update in (self, other))
        if shapes != others:
            raise BadInput(f"client updates of one round carry the same sums; got {shapes} and {others}")
        sums = {name: array + other.sums[name] for name, array in self.sums.items()}
        return ClientUpdate(sums, self.loss + other.loss, self.clients + other.clients)

    @property
    def uplink_bytes(self) -> int:
        """What one client sends: every array in full, as secure aggregation needs it, and two 4-byte numbers."""
        return sum(array.nbytes for array in self.sums.values()) + 8
