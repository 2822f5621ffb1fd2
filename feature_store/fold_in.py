"""Fold-in: from a person's history to the user embedding, on frozen item vectors.

The one definition that a device, training and serving share. For the implicit-feedback loss (Hu, Koren and
Volinsky 2008, section 4; with the frequency-scaled regularisation of Rendle et al. 2022, section 3.3)

    L(p) = Σ_{i∈H} (1 − p·q_i)² + α Σ_i (p·q_i)² + λ (|H| + α·items) |p|²

the minimum over p is the solution of one dim × dim system, found exactly:

    (Σ_{i∈H} q_i q_iᵀ + α QᵀQ + λ (|H| + α·items) I) p = Σ_{i∈H} q_i
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array
from feature_store.errors import BadInput
from feature_store.fold_in_batch import float32_suffices, fold_in_batch, worth_turning


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

    Raises:
        BadInput: a row is not one of Q.
    """
    dim = item_vectors.shape[1]
    if not len(rows):
        return np.zeros(dim, np.float32)
    _require_rows(rows, len(item_vectors))
    system = fold_in_system(item_vectors, item_gram, rows, settings)
    embedding: Float32Array = np.linalg.solve(system, item_vectors[rows].sum(axis=0)).astype(np.float32)
    return embedding


def fold_in_system(
    item_vectors: Float32Array, item_gram: Float32Array, rows: Int32Array, settings: FoldInSettings
) -> Float64Array:
    """The matrix of the system above, shape (dim, dim); arguments as `fold_in` has them."""
    met = item_vectors[rows]
    system: Float64Array = (met.T @ met).astype(np.float64)  # LAPACK is faster in double precision at these sizes
    system += settings.alpha * item_gram
    ridge = settings.regularization * (len(rows) + settings.alpha * len(item_vectors))
    system.reshape(-1)[:: len(system) + 1] += ridge
    return system


def fold_in_many(
    item_vectors: Float32Array, item_gram: Float32Array, histories: Sequence[Int32Array], settings: FoldInSettings
) -> Float32Array:
    """The user embeddings of many histories, shape (users, dim), in the order given; each as `fold_in` has it.

    Where there are many, by conjugate gradients, to what float32 leaves of a residual (`feature_store.fold_in_batch`).
    """
    items, dim = item_vectors.shape
    if not histories:
        return np.zeros((0, dim), np.float32)
    alpha, regularization = settings.alpha, settings.regularization
    if worth_turning(len(histories), items):
        eigen = np.linalg.eigh(item_gram.astype(np.float64))
        if float32_suffices(eigen.eigenvalues, items, alpha, regularization):
            _require_rows(np.concatenate(histories), items)
            return fold_in_batch(item_vectors, eigen, histories, alpha, regularization)
    return np.stack([fold_in(item_vectors, item_gram, rows, settings) for rows in histories])


def _require_rows(rows: Int32Array, items: int) -> None:
    if len(rows) and not (rows.min() >= 0 and rows.max() < items):
        raise BadInput(
            f"a history has rows from 0 to {items - 1}, of the items there are; got {rows.min()} to {rows.max()}"
        )
