"""The algorithms of the two-tower model, as the settings name them."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput
from training.algorithm import Algorithm
from training.averaging import averaging, make_step
from training.client_update import ClientUpdate
from training.compression.algorithm import compressed_algorithm
from training.contribution import contributions
from training.curvature import curvature
from training.device import STREAMED, Placement
from training.item_counts import counting
from training.item_tower import ItemTower
from training.local_training import local_training_update
from training.named_arrays import NamedArrays
from training.privacy.algorithm import private_algorithm
from training.privacy.release import Releases
from training.reconstruction import curvature_update
from training.robust_aggregation import make_aggregation
from training.server_state import ServerState
from training.settings import AlgorithmSettings
from training.unmet_items import by_content_alone
from training.user_bound import UserBound

RecommenderAlgorithm: TypeAlias = Algorithm[Any, Int32Array]
"""Clients receive the item vectors, or an announcement of them, and have the item rows of their history."""


def make_algorithm(
    tower: ItemTower,
    clients: int,
    settings: AlgorithmSettings,
    placement: Placement = STREAMED,
    releases: Releases | None = None,
) -> RecommenderAlgorithm:
    """The algorithm that the settings name, for a population of that many clients, computed where `placement` says.

    releases: for settings of privacy, what is written down before anything is released and what is added to it.

    Raises:
        BadInput: there are settings of privacy and no releases.
    """
    if settings.privacy is not None:
        if releases is None:
            raise BadInput(
                f"training at epsilon {settings.privacy.epsilon:g} takes a ledger that knows what was released about "
                f"these people before; there is none here, so that nothing would keep to the budget"
            )
        return private_algorithm(tower, clients, settings.privacy, settings.tower, releases)
    fold_in = settings.fold_in(tower.items)
    aggregation = make_aggregation(settings.aggregation)
    bound = UserBound(row=settings.curvature.row_bound, whole=settings.aggregation.clip_norm)

    def broadcast(state: ServerState) -> Float32Array:
        return tower.item_vectors(state.parameters)

    def reconstructed(vectors: Float32Array, histories: Sequence[Int32Array]) -> ClientUpdate:
        exponent = settings.curvature.activity_exponent
        return curvature_update(
            vectors, histories, fold_in, placement=placement, activity_exponent=exponent, bound=bound
        )

    def trained(vectors: Float32Array, histories: Sequence[Int32Array]) -> ClientUpdate:
        local = settings.fedavg
        return local_training_update(
            vectors,
            histories,
            fold_in,
            local.local_epochs,
            local.client_learning_rate,
            loss=local.loss,
            negatives=local.negatives,
            proximal=local.proximal,
        )

    def carry(parameters: NamedArrays, mean: NamedArrays) -> NamedArrays:
        return tower.pull_back(parameters, mean["item_delta"])

    if settings.compression is not None:
        return compressed_algorithm(tower, fold_in, clients, settings.compression, reconstructed, settings.tower)
    if settings.algorithm == "curvature":
        return Algorithm(
            broadcast,
            reconstructed,
            curvature(tower, fold_in, clients, settings.curvature, settings.tower),
            aggregation,
        )
    server = counting(averaging(make_step(settings.server), carry), tower.items, clients)
    return Algorithm(
        broadcast,
        contributions(trained, settings.aggregation),
        by_content_alone(server) if tower.has_content else server,
        aggregation,
    )
