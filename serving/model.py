"""The serving model: a verified checkpoint with all that a request needs of it, made once and never changed."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.blend import blended_items, blended_query, discounts
from feature_store.checkpoint import Checkpoint
from feature_store.item_item import ItemItem
from feature_store.row_ranges import rows_of
from serving.indexes.shared_vectors import shared_vectors
from serving.shelf import Shelf

_LOG = logging.getLogger("serving.model")


@dataclass(frozen=True, slots=True, eq=False)
class ServingModel:
    """What one request is answered with, from its first step to its last.

    everything: all items, by the vectors of `feature_store.blend.blended_items`.
    verticals: the same of each vertical alone.
    item_item: the checkpoint's weights beside the product of the two towers, discounted as scores are.
    longest_item: the largest norm of an item vector, so that a query can be refused whose scores would overflow.
    """

    checkpoint: Checkpoint
    everything: Shelf
    verticals: Mapping[str, Shelf]
    longest_item: float
    item_item: ItemItem | None

    @property
    def model_id(self) -> str:
        """The id of the checkpoint."""
        return self.checkpoint.manifest.checkpoint_id

    @property
    def dim(self) -> int:
        """Numbers in an item vector, a query and a user embedding."""
        return self.checkpoint.manifest.dim

    def shelf(self, vertical: str | None) -> Shelf | None:
        """The items of a vertical, None where the checkpoint has none of it; without a vertical all items."""
        return self.everything if vertical is None else self.verticals.get(vertical)


def _discounted(checkpoint: Checkpoint) -> ItemItem | None:
    if checkpoint.item_item is None:
        return None
    rows, weights = checkpoint.item_item.rows, checkpoint.item_item.weights
    if checkpoint.manifest.blend.discount == 0:
        return checkpoint.item_item
    return ItemItem(rows, weights * discounts(checkpoint.item_counts, checkpoint.manifest.blend)[rows])


def build_model(checkpoint: Checkpoint, index_folder: Path | None = None) -> ServingModel:
    """Make the serving model beside the one that answers now, and warm it with one retrieval of its own.

    index_folder: where the vectors are in a file that the servers of this machine share; None for memory of one's own,
        which they are in, too, where that cannot be written.

    Raises:
        numpy.linalg.LinAlgError: people cannot be folded in on this checkpoint.
    """
    manifest, counts = checkpoint.manifest, checkpoint.item_counts
    vectors = blended_items(checkpoint.item_vectors, counts, manifest.blend)
    if index_folder is not None:
        vectors = _shared(index_folder, manifest.checkpoint_id, vectors)
    vectors.flags.writeable = False
    if manifest.blend.discount == 0:
        # Q is the first columns of what the index has; a second copy would be the largest thing in the process.
        checkpoint = replace(checkpoint, item_vectors=vectors[:, : manifest.dim])
    own = vectors[:, : manifest.dim]
    item_item = _discounted(checkpoint)
    shelf_of = partial(
        Shelf.of,
        item_vectors=vectors,
        item_counts=counts,
        dim=manifest.dim,
        added_to=None if item_item is None else item_item.rows,
    )
    everything = shelf_of(np.arange(len(vectors), dtype=np.int32))
    model = ServingModel(
        checkpoint=checkpoint,
        everything=everything,
        verticals={
            vertical: everything if len(manifest.catalogues) == 1 else shelf_of(rows_of(ranges))
            for vertical, ranges in manifest.catalogues.items()
            if ranges
        },
        item_item=item_item,
        longest_item=float(np.sqrt(np.einsum("id,id->i", own, own, dtype=np.float64).max())),
    )
    favourite = everything.popular.order[:1]
    query = blended_query(checkpoint.fold_in(favourite).vector, 1, manifest.blend)
    everything.closest(query, 10, np.ones(len(vectors), np.bool_), "blended")
    return model


def _shared(folder: Path, checkpoint_id: str, vectors: Float32Array) -> Float32Array:
    try:
        return shared_vectors(folder, checkpoint_id, vectors)
    except OSError as error:  # it is full, or not to be written to
        fields = {"folder": str(folder), "reason": type(error).__name__, "detail": str(error)}
        _LOG.warning("vectors are not shared: this process has them for itself", extra={"fields": fields})
        return vectors
