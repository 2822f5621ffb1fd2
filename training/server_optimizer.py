"""The server optimizer: a pair of pure functions that turn a summed update into the next server state."""

from collections.abc import Callable
from typing import NamedTuple

from training.client_update import ClientUpdate
from training.named_arrays import NamedArrays
from training.server_state import ServerState


class ServerOptimizer(NamedTuple):
    """One way to step.

    init: from the parameters to what the optimizer remembers before the first round.
    apply: from the state and the cohort's summed update to the state after the round.
    """

    init: Callable[[NamedArrays], NamedArrays]
    apply: Callable[[ServerState, ClientUpdate], ServerState]
