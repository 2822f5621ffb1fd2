"""A federated algorithm: what clients receive, what they do with it, and what the server makes of their sum.

The loop knows these three functions and nothing of recommenders.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from feature_store.arrays import Float32Array, Int32Array
from feature_store.fold_in import FoldInSettings
from training.client_update import ClientUpdate
from training.curvature import CurvatureSettings, curvature
from training.fedavg import FedAvgSettings, fedavg
from training.item_tower import ItemTower
from training.local_training import local_training_update
from training.reconstruction import curvature_update
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState

UNMET_WEIGHT = 720.0
"""α·items of the default: together, the items that a person has not met weigh as much as 720 that were met.

In a small catalogue α stays at 1: an unmet item never weighs more than a met one.

Of 180, 360, 720, 1440 and 2880 it is the best on validation data of MovieLens-1M (3,628 items) and MovieLens-100K
(1,682), and within 1 % of the best on Last.fm (17,388); docs/quality.md has the figures.
"""


class Algorithm(NamedTuple):
    """One federated algorithm.

    broadcast: from the server state to the item vectors that every client of the round receives.
    client_update: from those and the histories of the cohort to their summed update.
    server: the server optimizer that the update is made for.
    """

    broadcast: Callable[[ServerState], Float32Array]
    client_update: Callable[[Float32Array, Sequence[Int32Array]], ClientUpdate]
    server: ServerOptimizer


class AlgorithmSettings(BaseModel):
    """Which algorithm, over which loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: Literal["curvature", "fedavg"] = "curvature"
    dim: int = Field(default=64, ge=1, le=4096, description="numbers in an item vector")
    alpha: float | None = Field(
        default=None, gt=0, description="weight of an unmet item; by default 720 / items, at most 1"
    )
    regularization: float = Field(default=0.01, gt=0, description="λ")
    curvature: CurvatureSettings = CurvatureSettings()
    fedavg: FedAvgSettings = FedAvgSettings()

    def fold_in(self, items: int) -> FoldInSettings:
        """The weights of the loss over that many items."""
        return FoldInSettings(self.alpha or min(1.0, UNMET_WEIGHT / items), self.regularization)


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
