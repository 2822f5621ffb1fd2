"""Item counts: how many clients have met each item, as a server learns it round by round."""

from dataclasses import replace

import numpy as np

from training.aggregation import scaled_to_population
from training.client_update import ITEM_COUNTS, ClientUpdate
from training.named_arrays import NamedArrays
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState


def counting(optimizer: ServerOptimizer, items: int, clients: int) -> ServerOptimizer:
    """The same optimizer, which also keeps the mean over the rounds of the population's item counts.

    Args:
        optimizer: steps as it does without.
        items: in the vocabulary.
        clients: size of the population that cohorts are drawn from.
    """

    def init(parameters: NamedArrays) -> NamedArrays:
        return {**optimizer.init(parameters), ITEM_COUNTS: np.zeros(items, np.float32)}

    def apply(state: ServerState, update: ClientUpdate) -> ServerState:
        own = {name: array for name, array in state.statistics.items() if name != ITEM_COUNTS}
        after = optimizer.apply(replace(state, statistics=own), update)
        before = state.statistics[ITEM_COUNTS]
        share = np.float32(1 / (state.round_number + 1))
        counts = before + share * (scaled_to_population(update, clients)[ITEM_COUNTS] - before)
        return replace(after, statistics={**after.statistics, ITEM_COUNTS: counts})

    return ServerOptimizer(init, apply)
