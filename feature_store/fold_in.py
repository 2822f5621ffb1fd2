"""Fold-in: from a person's history to the user embedding, on frozen item vectors.

The one definition that a device, training and serving share. For the implicit-feedback loss (Hu, Koren and
Volinsky 2008, section 4; with the frequency-scaled regularisation of Rendle et al. 2022, section 3.3)

    L(p) = Σ_{i∈H} (1 − p·q_i)² + α Σ_i (p·q_i)² + λ (|H| + α·items) |p|²

the minimum over p is the solution of one dim × dim system, found exactly:

    (Σ_{i∈H} q_i q_iᵀ + α QᵀQ + λ (|H| + α·items) I) p = Σ_{i∈H} q_i
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput

_GATHERED_FLOATS = 1 << 22  # 16 MiB of gathered item vectors at a time, whatever the number of users


@dataclass(frozen=True, slots=True)
class FoldInSettings:
    """The weights of the loss. Both belong to the checkpoint: other weights would be another model.

    alpha: weight α > 0 of the items a person has not met, against 1 for those in the history.
    regularization: λ > 0, scaled by how much data the person and the catalogue bring; it makes the solution unique.
    """

    alpha: float
    regularization: float

    def __post_init__(self) -> None:
        if not (0 < self.alpha < np.inf and 0 < self.regularization < np.inf):
            raise BadInput(
                f"fold-in takes a finite alpha > 0 and regularization > 0; "
                f"got alpha={self.alpha}, regularization={self.regularization}"
            )


def fold_in(
    item_vectors: Float32Array, item_gram: Float32Array, rows: Int32Array, settings: FoldInSettings
) -> Float32Array:
    """The user embedding of one history.

    Args:
        item_vectors: Q, shape (items, dim).
        item_gram: QᵀQ, shape (dim, dim); kept beside Q so that a device need not form it for each person.
        rows: distinct rows of Q that the person has met, shape (n,); none gives the zero vector.
        settings: the weights that the checkpoint was trained with.

    Returns:
        p, shape (dim,): the exact minimum of the loss above.
    """
    embedding: Float32Array = fold_in_many(item_vectors, item_gram, [rows], settings)[0]
    return embedding


def fold_in_many(
    item_vectors: Float32Array, item_gram: Float32Array, histories: Sequence[Int32Array], settings: FoldInSettings
) -> Float32Array:
    """The user embeddings of many histories, shape (users, dim), in the order given; each as `fold_in` has it."""
    items, dim = item_vectors.shape
    embeddings = np.zeros((len(histories), dim), dtype=np.float32)
    for users in _batches_of_like_length(histories, dim):
        lengths = np.array([len(histories[u]) for u in users], dtype=np.float32)
        gathered = np.zeros((len(users), int(lengths.max()), dim), dtype=np.float32)
        for slot, user in enumerate(users):
            gathered[slot, : len(histories[user])] = item_vectors[histories[user]]
        systems = gathered.transpose(0, 2, 1) @ gathered + np.float32(settings.alpha) * item_gram
        ridge = settings.regularization * (lengths + settings.alpha * items)
        systems[:, np.arange(dim), np.arange(dim)] += ridge[:, None]
        embeddings[users] = np.linalg.solve(systems, gathered.sum(axis=1)[..., None])[..., 0]
    return embeddings


def _batches_of_like_length(histories: Sequence[Int32Array], dim: int) -> Iterator[list[int]]:
    """Users with a history, longest first, in batches that stay within the memory bound when padded."""
    order = sorted((u for u, rows in enumerate(histories) if len(rows)), key=lambda u: -len(histories[u]))
    start = 0
    while start < len(order):
        longest = len(histories[order[start]])
        size = max(1, _GATHERED_FLOATS // (max(longest, dim) * dim))
        yield order[start : start + size]
        start += size
