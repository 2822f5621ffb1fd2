"""Aggregation: from the summed update of a cohort to an estimate for the whole population."""

from collections.abc import Mapping

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput
from training.client_update import ClientUpdate


def scaled_to_population(update: ClientUpdate, clients: int) -> Mapping[str, Float32Array]:
    """Each sum times clients/cohort: what the sum over all `clients` is expected to be, for a uniform cohort."""
    if not 0 < update.clients <= clients:
        raise BadInput(f"an update of {update.clients} clients cannot stand for a population of {clients}")
    return {name: array * (clients / update.clients) for name, array in update.sums.items()}
