"""Aggregation: from the updates of a cohort to one update, and from that to an estimate for everybody.

The mean is all that a secure aggregation can give: it adds, and shows no summand. The rules of
`training.robust_aggregation` compare updates with each other, and so need to see them apart: the update of each
client, or the sum over each group of clients.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import add
from typing import NamedTuple

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput
from training.client_update import ClientUpdate


class Aggregation(NamedTuple):
    """One way to make one update of many.

    aggregate: from the updates of the groups of a cohort, none of them empty, to an update of the same form.
    group_size: clients that are summed before the rule sees anything of them; None is the whole cohort, one group.
    """

    aggregate: Callable[[Iterable[ClientUpdate]], ClientUpdate]
    group_size: int | None

    @property
    def needs_single_updates(self) -> bool:
        """Whether the server has to see what one client sent, which a secure aggregation is there to prevent."""
        return self.group_size == 1


def total(updates: Iterable[ClientUpdate]) -> ClientUpdate:
    """The sum of the updates, in their order."""
    return reduce(add, updates)


MEAN = Aggregation(total, None)
"""Sums are sent, and divided by what they are sums over: by clients, or by the clients' weights."""


def scaled_to_population(update: ClientUpdate, clients: int) -> Mapping[str, Float32Array]:
    """Each sum times clients/cohort: what the sum over all `clients` is expected to be, for a uniform cohort."""
    if not 0 < update.clients <= clients:
        raise BadInput(f"an update of {update.clients} clients cannot stand for a population of {clients}")
    return {name: array * (clients / update.clients) for name, array in update.sums.items()}
