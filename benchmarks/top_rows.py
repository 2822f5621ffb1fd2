"""A rival of compressed rounds: each cell sends the longest rows of its gradient in full, and which they are.

Top-k sparsification (Aji and Heafield 2017, "Sparse communication for distributed gradient descent", section 3), a row
at a time, as fits a model of rows. It does not add under masks: which rows a cell sends is its own choice, and says
whom it holds. Here it is given what it needs besides for nothing: the server knows energy and counts.
"""

from collections.abc import Sequence

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings
from training.client_update import ClientUpdate
from training.compression.client import complete_gradient
from training.recommender import RecommenderAlgorithm


def with_top_rows(algorithm: RecommenderAlgorithm, weights: FoldInSettings, rows: int) -> RecommenderAlgorithm:
    """The same algorithm, of curvature without running means, whose cells send so many rows."""

    def client_update(vectors: Float32Array, histories: Sequence[Int32Array]) -> ClientUpdate:
        update = algorithm.client_update(vectors, histories)
        gradient = complete_gradient(update, vectors, weights)
        left_out = np.argsort(-np.linalg.norm(gradient, axis=1), kind="stable")[rows:]
        sent = np.array(update.sums["item_gradient"])
        sent[left_out] -= gradient[left_out]  # so that the whole gradient of these rows is 0
        return ClientUpdate({**update.sums, "item_gradient": sent}, update.loss, update.clients)

    return algorithm._replace(client_update=client_update)


def top_rows_bytes(rows: int, dim: int) -> int:
    """What a cell sends: rows of float32, the number of each, and the upper triangle of p pᵀ."""
    return rows * (dim + 1) * 4 + dim * (dim + 1) * 2


def rows_within(uplink_bytes: int, dim: int) -> int:
    """How many rows so many bytes hold; at least one."""
    return max(1, (uplink_bytes - dim * (dim + 1) * 2) // ((dim + 1) * 4))
