"""A federated algorithm: what clients receive, what they do with it, and what the server makes of their sum.

The loop knows these three functions and nothing of recommenders.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from feature_store.arrays import Float32Array, Int32Array
from training.client_update import ClientUpdate
from training.curvature import curvature
from training.fedavg import fedavg
from training.item_tower import ItemTower
from training.local_training import local_training_update
from training.reconstruction import curvature_update
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState
from training.settings import AlgorithmSettings


class Algorithm(NamedTuple):
    """One federated algorithm.

    broadcast: from the server state to the item vectors that every client of the round receives.
    client_update: from those and the histories of the cohort to their summed update.
    server: the server optimizer that the update is made for.
    """

    broadcast: Callable[[ServerState], Float32Array]
    client_update: Callable[[Float32Array, Sequence[Int32Array]], ClientUpdate]
    server: ServerOptimizer


def make_algorithm(tower: ItemTower, clients: int, settings: AlgorithmSettings) -> Algorithm:
    """The algorithm that the settings name, for a population of that many clients."""
    fold_in = settings.fold_in(tower.items)

    def broadcast(state: ServerState) -> Float32Array:
        return tower.item_vectors(state.parameters)

    if settings.algorithm == "curvature":
        return Algorithm(
            broadcast,
            lambda vectors, histories: curvature_update(vectors, histories, fold_in),
            curvature(tower, fold_in, clients, settings.curvature),
        )
    local = settings.fedavg
    return Algorithm(
        broadcast,
        lambda vectors, histories: local_training_update(
            vectors, histories, fold_in, local.local_epochs, local.client_learning_rate
        ),
        fedavg(tower, clients, local),
    )
