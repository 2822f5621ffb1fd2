"""Items that nobody has met yet: their id embedding has learnt nothing, and must say nothing."""

from dataclasses import replace

import numpy as np

from feature_store.arrays import BoolArray, Float32Array
from training.client_update import ITEM_COUNTS, ClientUpdate
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState
from training.tower_network import ID_EMBEDDING


def met_so_far(state: ServerState, item_counts: Float32Array) -> BoolArray:
    """The items that a client has met in this round or one before, shape (items,).

    It is told by the id embeddings, of which those that were not met are kept at zero, and needs no memory of its own.

    state: before the round's step.
    item_counts: how many clients of the round met each item, shape (items,).
    """
    now = item_counts > 0
    return now if state.round_number == 0 else now | state.parameters[ID_EMBEDDING].any(axis=1)


def by_content_alone(optimizer: ServerOptimizer) -> ServerOptimizer:
    """The same optimizer, which leaves an item that no client has met so far without an id embedding.

    Its vector is then what its features say. Random numbers, or a push away from everybody who did not meet it,
    would be noise on that.
    """

    def apply(state: ServerState, update: ClientUpdate) -> ServerState:
        met = met_so_far(state, update.sums[ITEM_COUNTS])
        after = optimizer.apply(state, update)
        ids = np.where(met[:, None], after.parameters[ID_EMBEDDING], np.float32(0))
        return replace(after, parameters={**after.parameters, ID_EMBEDDING: ids})

    return ServerOptimizer(optimizer.init, apply)
