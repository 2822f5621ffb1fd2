"""The FedAvg server: the weighted mean of what the clients trained (McMahan et al. 2017, algorithm 1)."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from feature_store.arrays import Float32Array
from training.aggregation import scaled_to_population
from training.client_update import ClientUpdate
from training.item_tower import ItemTower, Parameters
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState
from training.settings import FedAvgSettings


def fedavg(tower: ItemTower, clients: int, settings: FedAvgSettings) -> ServerOptimizer:
    """The server optimizer for updates of `training.local_training.local_training_update`.

    The mean of (local minus global) is carried through the tower by the chain rule. With an id embedding
    alone, or with one local epoch, that is exactly the mean of what the clients would have trained in a copy
    of the whole tower.
    """

    def init(parameters: Parameters) -> Mapping[str, Float32Array]:
        del parameters
        return {"item_counts": np.zeros(tower.items, np.float32)}

    def apply(state: ServerState, update: ClientUpdate) -> ServerState:
        mean = update.sums["item_delta"] / update.sums["weight"]
        deltas = tower.pull_back(state.parameters, mean)
        rate = np.float32(settings.server_learning_rate)
        parameters = {name: array + rate * deltas[name] for name, array in state.parameters.items()}
        counts = scaled_to_population(update, clients)["item_counts"]
        share = np.float32(1 / (state.round_number + 1))
        before = state.statistics["item_counts"]
        statistics = {"item_counts": before + share * (counts - before)}
        return replace(state, round_number=state.round_number + 1, parameters=parameters, statistics=statistics)

    return ServerOptimizer(init, apply)
