"""The algorithms of the two-tower model, as the settings name them."""

from typing import TypeAlias

from feature_store.arrays import Float32Array, Int32Array
from training.algorithm import Algorithm
from training.curvature import curvature
from training.fedavg import fedavg
from training.item_tower import ItemTower
from training.local_training import local_training_update
from training.reconstruction import curvature_update
from training.server_state import ServerState
from training.settings import AlgorithmSettings

RecommenderAlgorithm: TypeAlias = Algorithm[Float32Array, Int32Array]
"""Clients receive the item vectors, and have the item rows of their history."""


def make_algorithm(tower: ItemTower, clients: int, settings: AlgorithmSettings) -> RecommenderAlgorithm:
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
