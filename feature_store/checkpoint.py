"""A checkpoint: the global model as serving and devices need it, in a folder that is verified before it is used.

    manifest.json                what it is, with the digest of every other file
    manifest.sig                 an Ed25519 signature over the bytes of manifest.json
    item_ids.json                item ids in the order of their rows
    item_vectors.safetensors     Q, float32 (items, dim)
    item_gram.safetensors        QᵀQ, float32 (dim, dim): folding in needs it beside Q
    item_counts.safetensors      how many people met each item, float32 (items,), estimated from the cohorts' sums
    item_item.safetensors        where there are item-item weights: their rows, int32 (m,), and B, float32 (m, m)
    context.safetensors          where the query tower has context: a vector a value, named hour/12, float32 (dim,)

Arrays are safetensors, never pickle: reading a checkpoint runs no code of its author.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.blend import UNBLENDED, BlendSettings
from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings, fold_in, fold_in_many
from feature_store.item_item import ItemItem
from feature_store.manifest import CheckpointManifest, PrivacySpent
from feature_store.query_tower import QueryTower
from feature_store.row_ranges import Catalogues, require_partition
from feature_store.vocabulary import ItemVocabulary


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A verified checkpoint in memory. Its arrays are read-only: many requests share them."""

    manifest: CheckpointManifest
    vocabulary: ItemVocabulary
    item_vectors: Float32Array
    item_gram: Float32Array
    item_counts: Float32Array
    item_item: ItemItem | None = None
    query_tower: QueryTower | None = None

    def fold_in(self, rows: Int32Array, watermark: int = 0) -> UserEmbedding:
        """The user embedding of a history (distinct rows of this checkpoint's items)."""
        vector = fold_in(self.item_vectors, self.item_gram, rows, self.manifest.fold_in)
        return UserEmbedding(vector, self.manifest.checkpoint_id, watermark)

    def fold_in_many(self, histories: list[Int32Array]) -> Float32Array:
        """The vectors of many histories, shape (users, dim)."""
        return fold_in_many(self.item_vectors, self.item_gram, histories, self.manifest.fold_in)


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointDraft:
    """What training hands over for publication.

    vocabulary: ids of the items, in the order of the rows.
    item_vectors: Q, float32, finite, shape (items, dim).
    item_counts: people who met each item, float32, >= 0, shape (items,).
    catalogues: vertical -> the rows of its items; each row belongs to one.
    blend: how popularity enters for people of whom few items are known; by default it does not.
    item_item: weights beside the product of the two towers, where there are any.
    query_tower: what the context of a request adds to a user embedding, where anything does.
    """

    vocabulary: ItemVocabulary
    item_vectors: Float32Array
    item_counts: Float32Array
    fold_in: FoldInSettings
    round_number: int
    catalogues: Catalogues
    blend: BlendSettings = UNBLENDED
    item_item: ItemItem | None = None
    query_tower: QueryTower | None = None
    parent_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    privacy: PrivacySpent | None = None
    training: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        items = len(self.vocabulary)
        if self.item_vectors.ndim != 2 or len(self.item_vectors) != items or not self.item_vectors.size:
            raise BadInput(f"item vectors of {items} items have shape ({items}, dim); got {self.item_vectors.shape}")
        if self.item_counts.shape != (items,):
            raise BadInput(f"item counts of {items} items have shape ({items},); got {self.item_counts.shape}")
        require_partition(self.catalogues, items)
        if self.item_item is not None:
            require_known(self.item_item, items)
        if self.query_tower is not None and self.query_tower.dim != self.item_vectors.shape[1]:
            raise BadInput(
                f"the vectors of a query tower are as long as those of the items; "
                f"got {self.query_tower.dim} and {self.item_vectors.shape[1]} numbers"
            )
        if (self.item_counts < 0).any():
            raise BadInput(f"item counts are numbers of people, >= 0; got {self.item_counts.min()}")
        for name in ("item_vectors", "item_counts"):
            array = getattr(self, name)
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise BadInput(
                    f"{name} of a checkpoint are finite float32 numbers; training has diverged or mixed types"
                )


def require_known(item_item: ItemItem, items: int) -> None:
    """Raise `BadInput` where the weights are of rows that a vocabulary of that many items does not have."""
    if len(item_item.rows) and item_item.rows[-1] >= items:
        raise BadInput(f"item-item weights are of rows below {items}; got row {item_item.rows[-1]}")
