"""The serving model: a verified checkpoint with all that a request needs of it, made once and never changed."""

from dataclasses import dataclass

import numpy as np

from feature_store.checkpoint import Checkpoint
from serving.popularity import PopularItems
from serving.retrieval import ExactIndex, ItemIndex


@dataclass(frozen=True, slots=True, eq=False)
class ServingModel:
    """What one request is answered with, from its first step to its last.

    longest_item: the largest norm of an item vector, so that a query can be refused whose scores would overflow.
    """

    checkpoint: Checkpoint
    index: ItemIndex
    popular: PopularItems
    longest_item: float

    @property
    def model_id(self) -> str:
        """The id of the checkpoint."""
        return self.checkpoint.manifest.checkpoint_id

    @property
    def dim(self) -> int:
        """Numbers in an item vector, a query and a user embedding."""
        return self.checkpoint.manifest.dim


def build_model(checkpoint: Checkpoint) -> ServingModel:
    """Make the serving model beside the one that answers now, and warm it with one retrieval of its own.

    Raises:
        numpy.linalg.LinAlgError: people cannot be folded in on this checkpoint.
    """
    vectors = checkpoint.item_vectors
    model = ServingModel(
        checkpoint=checkpoint,
        index=ExactIndex(vectors),
        popular=PopularItems.of(checkpoint.item_counts),
        longest_item=float(np.sqrt(np.einsum("id,id->i", vectors, vectors, dtype=np.float64).max())),
    )
    favourite = model.popular.order[:1]
    model.index.retrieve(checkpoint.fold_in(favourite).vector, 10, favourite)
    return model
