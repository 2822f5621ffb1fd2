"""The user embedding: a vector that belongs to a person and to one checkpoint."""

from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput, CheckpointMismatch
from feature_store.events import require_id

_LARGEST_WATERMARK = 2**64 - 1  # as stores write it


@dataclass(frozen=True, slots=True, eq=False)
class UserEmbedding:
    """A folded-in vector, the checkpoint whose items it may meet, and the history it was made from.

    vector: shape (dim,), float32, finite.
    checkpoint_id: the checkpoint it was folded in on.
    watermark: the mark of the history that was folded in (`History.watermark`); an embedding whose mark is not
        that of the person's history is out of date.
    """

    vector: Float32Array
    checkpoint_id: str
    watermark: int = 0

    def __post_init__(self) -> None:
        if self.vector.dtype != np.float32 or self.vector.ndim != 1 or not self.vector.size:
            raise BadInput(
                f"a user embedding is a float32 vector of at least one number; "
                f"got {self.vector.dtype} of shape {self.vector.shape}"
            )
        require_id("checkpoint_id of a user embedding", self.checkpoint_id)
        if not 0 <= self.watermark <= _LARGEST_WATERMARK:
            raise BadInput(f"the watermark of a user embedding is 0 to {_LARGEST_WATERMARK}; got {self.watermark}")
        if not np.isfinite(self.vector).all():
            raise BadInput("a user embedding holds finite numbers only; got NaN or infinity")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, UserEmbedding)
            and (self.checkpoint_id, self.watermark) == (other.checkpoint_id, other.watermark)
            and np.array_equal(self.vector, other.vector)
        )

    def __hash__(self) -> int:
        return hash((self.checkpoint_id, self.watermark, self.vector.tobytes()))

    def for_checkpoint(self, checkpoint_id: str) -> Float32Array:
        """The vector, to be used with that checkpoint's items; raises `CheckpointMismatch` for any other."""
        if checkpoint_id != self.checkpoint_id:
            raise CheckpointMismatch(
                f"a user embedding of checkpoint {self.checkpoint_id} cannot meet the items of {checkpoint_id}; "
                f"fold the history in again"
            )
        return self.vector
