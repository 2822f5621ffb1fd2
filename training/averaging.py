"""Averaging: the server optimizers that step along the mean of what the clients learnt.

The cohort's update holds Σ w·delta by name and Σ w, with delta a client's (local minus global) and w what it
counts by: the number of its examples, or 1. Their quotient is the mean; a delta step does the rest.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from training.client_update import ITEM_COUNTS, WEIGHT, ClientUpdate
from training.delta_step import DeltaStep
from training.fedavg import fedavg
from training.fedavgm import fedavgm
from training.fedopt import fedadam, fedyogi
from training.named_arrays import NamedArrays
from training.server_optimizer import ServerOptimizer
from training.server_settings import FedAdamServer, FedAvgMServer, FedAvgServer, FedYogiServer
from training.server_state import ServerState

Carry: TypeAlias = Callable[[NamedArrays, NamedArrays], NamedArrays]


def as_it_is(parameters: NamedArrays, mean: NamedArrays) -> NamedArrays:
    """For clients that train the parameters themselves: the mean delta is already one of the parameters."""
    del parameters
    return mean


def averaging(step: DeltaStep, carry: Carry = as_it_is) -> ServerOptimizer:
    """The server optimizer that takes that step along the mean delta.

    Args:
        step: see `make_step`.
        carry: from the parameters and the mean delta of what clients trained to a delta of the parameters. An item
            tower's clients train its item vectors, and the chain rule carries the delta back through the tower. With
            an id embedding alone, or with one local epoch, that is exactly the mean of what they would have
            trained in a copy of the whole tower.
    """

    def apply(state: ServerState, update: ClientUpdate) -> ServerState:
        delta = carry(state.parameters, mean_delta(update))
        parameters, statistics = step.apply(state.parameters, delta, state.statistics)
        return replace(state, round_number=state.round_number + 1, parameters=parameters, statistics=statistics)

    return ServerOptimizer(step.init, apply)


def mean_delta(update: ClientUpdate) -> NamedArrays:
    """Σ w·delta / Σ w, by name."""
    weight = update.sums[WEIGHT]
    return {name: array / weight for name, array in update.sums.items() if name not in {WEIGHT, ITEM_COUNTS}}


def make_step(settings: FedAvgServer | FedAvgMServer | FedAdamServer | FedYogiServer) -> DeltaStep:
    """The delta step that the settings name."""
    match settings:
        case FedAvgServer():
            return fedavg(settings)
        case FedAvgMServer():
            return fedavgm(settings)
        case FedAdamServer():
            return fedadam(settings)
        case FedYogiServer():
            return fedyogi(settings)
