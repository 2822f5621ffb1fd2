"""A contribution: what one client's update counts for before it is added to others.

Weighting by examples is what clients send by themselves. Here are the other two ways: each client counts the same,
and no client's update measures more than a bound ("norm bounding": Sun et al. 2019, "Can you really backdoor
federated learning?", section 4). Both look at one client at a time and need no comparison, so the client itself,
or the cell that it trusts, can see to it before anything is summed, and secure aggregation stays possible. What
holds a client of somebody else's making to its bound is whoever can look at its update: not a server that sees
sums only.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from feature_store.arrays import Float32Array
from training.aggregation import total
from training.client_update import ITEM_COUNTS, WEIGHT, ClientUpdate
from training.server_settings import AggregationSettings

Sent = TypeVar("Sent")
Data = TypeVar("Data")


def contributions(
    client_update: Callable[[Sent, Sequence[Data]], ClientUpdate], settings: AggregationSettings
) -> Callable[[Sent, Sequence[Data]], ClientUpdate]:
    """The same clients, each counting for what the settings say.

    One client is computed at a time, and its update is added to the sum: memory holds one update and the sum.
    """
    if settings.by_examples and settings.clip_norm is None:
        return client_update

    def changed(sent: Sent, clients: Sequence[Data]) -> ClientUpdate:
        return total(contribution(client_update(sent, [data]), settings) for data in clients)

    return changed


def contribution(update: ClientUpdate, settings: AggregationSettings) -> ClientUpdate:
    """What the update of one client counts for.

    An update with a weight holds w·delta and w: the norm is that of delta. One without is a plain sum, and the norm
    is its own. Item counts are 0 or 1 by themselves, and stay as they are.
    """
    weight = update.sums.get(WEIGHT, np.ones(1, np.float32))
    deltas = {name: array / weight for name, array in update.sums.items() if name not in {WEIGHT, ITEM_COUNTS}}
    counted = weight if settings.by_examples else np.ones(1, np.float32)
    share = counted * np.float32(_share(deltas.values(), settings.clip_norm))
    sums = dict(update.sums) | {name: array * share for name, array in deltas.items()}
    if WEIGHT in sums:
        sums[WEIGHT] = counted
    return ClientUpdate(sums, update.loss, update.clients)


def _share(deltas: Iterable[Float32Array], most: float | None) -> float:
    """What to scale arrays by so that together they measure at most `most`."""
    norm = np.sqrt(sum(float(np.square(delta, dtype=np.float64).sum()) for delta in deltas))
    return 1.0 if most is None or norm <= most else most / norm
