"""The cell's side: from the update of its people to what it sends of it.

What is sent of the gradient is all of it, the terms of the loss that everybody shares included (docs/training.md):

    G = Σ_u w_u (p_u·q_i − 1) p_u + α Q Σ_u w_u p_u p_uᵀ + λ w̄ (c + α·people) Q        w̄ the people's mean weight

It goes to zero as training converges, while the first term alone does not; so the steps that its numbers are rounded
to get finer. And the counts, which the server would need besides, are sent once.
"""

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate
from training.compression.announcement import Announcement, steps_of
from training.compression.digits import packed

GRAM, ENERGY, LENGTHS, WORDS = "user_gram", "item_energy", "row_lengths", "words"


def compressed(update: ClientUpdate, asked: Announcement, weights: FoldInSettings) -> ClientUpdate:
    """What a cell sends.

    Args:
        update: of `training.reconstruction.curvature_update`, for the announced item vectors.
        asked: the announcement.
        weights: of the loss.

    Returns:
        In the survey:
        user_gram, (dim (dim + 1) / 2,): the upper triangle, row after row.
        item_energy, item_counts, (items,), and activity, (1,): as they were.
        row_lengths, (items,): how long each row of the cell's gradient is.

        Else user_gram, and
        words, (words,): the rows asked for, each number rounded to a whole number of the row's steps, as
            `training.compression.digits` packs them.

    Raises:
        BadInput: the announcement is of other items than the update.
    """
    gram = update.sums[GRAM]
    upper = gram[np.triu_indices(len(gram))]
    gradient = complete_gradient(update, asked.vectors, weights)
    if asked.is_survey:
        lengths = np.linalg.norm(gradient, axis=1)
        kept = {name: update.sums[name] for name in (ENERGY, ITEM_COUNTS, ACTIVITY)}
        return ClientUpdate({GRAM: upper, LENGTHS: lengths, **kept}, update.loss, update.clients)
    if len(asked.steps) != len(gradient):
        raise BadInput(f"steps of {len(gradient)} rows are due; got {len(asked.steps)}")
    rows = np.flatnonzero(asked.steps)
    whole = np.rint(gradient[rows] / steps_of(asked.steps[rows])[:, None])
    numbers = np.clip(whole, -asked.levels, asked.levels).astype(np.int64)
    words = packed(numbers.ravel(), asked.levels, asked.cells)
    return ClientUpdate({GRAM: upper, WORDS: words}, update.loss, update.clients)


def complete_gradient(update: ClientUpdate, vectors: Float32Array, weights: FoldInSettings) -> Float32Array:
    """G, shape (items, dim): half the derivative of these people's loss with respect to the item vectors."""
    alpha, regularization = np.float32(weights.alpha), np.float32(weights.regularization)
    sums, people = update.sums, np.float32(update.clients)
    ridge = regularization * sums[ACTIVITY][0] / people * (sums[ITEM_COUNTS] + alpha * people)
    gradient: Float32Array = sums["item_gradient"] + alpha * (vectors @ sums[GRAM]) + ridge[:, None] * vectors
    return gradient
