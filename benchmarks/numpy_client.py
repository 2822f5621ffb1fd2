"""The plain client: one person's update in numpy, as a federated simulator that loops over clients computes it.

The same numbers as `training.reconstruction.curvature_update`, and nothing of its code.
"""

from collections.abc import Iterable
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate


def one_client(
    item_vectors: Float32Array, gram: Float32Array, rows: Int32Array, settings: FoldInSettings
) -> ClientUpdate:
    """The update of one client.

    Args:
        item_vectors: Q, shape (items, dim).
        gram: QᵀQ, formed once a round for everybody.
        rows: distinct item rows of the client.
        settings: the weights α and λ of the loss.
    """
    items, dim = item_vectors.shape
    met = item_vectors[rows]
    alpha = np.float32(settings.alpha)
    ridge = np.float32(settings.regularization * (len(rows) + settings.alpha * items))
    system = met.T @ met + alpha * gram
    system[np.diag_indices(dim)] += ridge
    embedding = np.linalg.solve(system, met.sum(axis=0))
    residuals = met @ embedding - 1
    energy = embedding @ embedding
    sums = {
        "item_gradient": np.zeros((items, dim), np.float32),
        "user_gram": np.outer(embedding, embedding),
        "item_energy": np.zeros(items, np.float32),
        ITEM_COUNTS: np.zeros(items, np.float32),
        ACTIVITY: np.ones(1, np.float32),
        "activity": np.ones(1, np.float32),
    }
    sums["item_gradient"][rows] = np.outer(residuals, embedding)
    sums["item_energy"][rows] = energy
    sums[ITEM_COUNTS][rows] = 1
    loss = residuals @ residuals + alpha * (embedding @ gram @ embedding) + ridge * energy
    return ClientUpdate(sums, float(loss), 1)


def one_by_one(item_vectors: Float32Array, histories: Iterable[Int32Array], settings: FoldInSettings) -> ClientUpdate:
    """The summed update of these clients, at least one: each computed alone, and added at once."""
    gram = item_vectors.T @ item_vectors
    return reduce(ClientUpdate.__add__, (one_client(item_vectors, gram, rows, settings) for rows in histories))


@lru_cache(maxsize=1)
def round_arrays(file: str) -> dict[str, Any]:
    """item_vectors, rows, offsets and weights (α, λ) of a round, read once by each process: a device has its own."""
    with np.load(file) as arrays:
        return dict(arrays)
