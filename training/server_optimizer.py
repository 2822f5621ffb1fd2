"""The server optimizer: a pair of pure functions that turn a summed update into the next server state."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from feature_store.arrays import Float32Array
from training.client_update import ClientUpdate
from training.item_tower import Parameters
from training.server_state import ServerState


class ServerOptimizer(NamedTuple):
    """One way to step.

    init: from the parameters to what the optimizer remembers before the first round.
    apply: from the state and the cohort's summed update to the state after the round.
    """

    init: Callable[[Parameters], Mapping[str, Float32Array]]
    apply: Callable[[ServerState, ClientUpdate], ServerState]
