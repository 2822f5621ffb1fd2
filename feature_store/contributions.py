"""Contributions: how much each item of a history has to do with the score of another item.

A folded-in score is a sum over the history (Hu, Koren and Volinsky 2008, section 5): with S the matrix of the system
that `feature_store.fold_in` solves, p = S⁻¹ Σ_{j∈H} q_j, and so

    p·q_i = Σ_{j∈H} q_iᵀ S⁻¹ q_j

whose terms say, exactly, what of the score is owed to which item.
"""

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array
from feature_store.fold_in import FoldInSettings, fold_in_system


def contributions(
    item_vectors: Float32Array,
    item_gram: Float32Array,
    history: Int32Array,
    targets: Int32Array,
    settings: FoldInSettings,
) -> Float64Array:
    """The terms, shape (targets, history); each row sums to the score of its target.

    Args:
        item_vectors: Q, shape (items, dim).
        item_gram: QᵀQ, shape (dim, dim).
        history: distinct rows of Q that the person was folded in from, at least one.
        targets: rows of Q.
        settings: the weights that the checkpoint was trained with.
    """
    system = fold_in_system(item_vectors, item_gram, history, settings)
    solved = np.linalg.solve(system, item_vectors[history].T.astype(np.float64))
    result: Float64Array = item_vectors[targets].astype(np.float64) @ solved
    return result
