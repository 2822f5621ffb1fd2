"""A federated algorithm: what clients receive, what they do with it, and what the server makes of their updates.

The loop knows these four parts and nothing else: not what is learnt, and not what a client's data looks like.
`training/recommender.py` puts them together for the two-tower model, `examples/federated_classification.py` for
a classifier.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from training.aggregation import MEAN, Aggregation
from training.client_update import ClientUpdate
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState

Sent = TypeVar("Sent")
"""What every client of a round receives."""

Sent_contra = TypeVar("Sent_contra", contravariant=True)
"""The same, to who only takes it."""

Data = TypeVar("Data")
"""What one client has to train on."""


class Algorithm(NamedTuple, Generic[Sent, Data]):
    """One federated algorithm.

    broadcast: from the server state to what every client of the round receives.
    client_update: from that and the data of some clients to their summed update; for any number of clients, as a
        device has one, a cell its own and a simulation a whole cohort.
    server: the server optimizer that the update is made for.
    aggregation: how the updates of a cohort become one.
    """

    broadcast: Callable[[ServerState], Sent]
    client_update: Callable[[Sent, Sequence[Data]], ClientUpdate]
    server: ServerOptimizer
    aggregation: Aggregation = MEAN
