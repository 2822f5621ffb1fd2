"""Releases: what of people's data leaves a private training, with how much noise, and what follows from it at once.

No TensorFlow in here: a cell needs this.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array
from feature_store.errors import BadInput
from feature_store.manifest import PrivacySpent
from training.aggregation import Aggregation, total
from training.client_update import ClientUpdate
from training.privacy.accountant import cost_of, deviation_of, epsilon_of
from training.privacy.ledger import Budget, Entry, Ledger, cost_so_far, require_affordable
from training.privacy.noise import Noise, secure_noise
from training.privacy.settings import PrivacySettings

COUNTS, GRAM, ALONG = "item_sums", "centred_gram", "along_directions"
NOISE = "noise"
"""Beside a released sum: the standard deviation of the noise that is on it, shape (1,)."""
ITEMS_BY_SIGNAL = 0.13
"""m = this · people / σ. Eigenvalues grow with people, those of the noise as σ√m; the best m on the validation part of
MovieLens-1M lies within a third of it from ε = 1 to 16."""
_LEAST_POPULARITY = 0.3  # in standard deviations of the noise: an item that drowned in it was met by some all the same


class Releases(NamedTuple):
    """What is written down before anything is released, and what is added to it.

    ledger: of the population, for all runs on it.
    noise: of unit variance; anything but the default is for tests and measurements.
    excess: how many times as large as it has to be the noise is expected to come out. 1 where one place adds it; cells
        add enough for the fewest of them that may stay, and the more do, the more there is.
    """

    ledger: Ledger
    noise: Noise = secure_noise()
    excess: float = 1.0


class Plan(NamedTuple):
    """What is released, and how.

    costs: μ² of each sum, by name, in the order of the rounds. items: m.
    """

    costs: dict[str, float]
    items: int

    @property
    def rounds(self) -> int:
        """One a sum."""
        return len(self.costs)

    def deviation(self, name: str) -> float:
        """σ of the noise on each number of that sum."""
        return deviation_of(self.costs[name])


def plan(settings: PrivacySettings, people: int, items: int, excess: float = 1.0) -> Plan:
    """The releases of a run over that many people and items, both taken as public; excess: see `Releases`."""
    whole = cost_of(settings.epsilon, settings.delta)
    counts = whole * settings.counts_share
    along = (whole - counts) * settings.refinement_share
    most = settings.items or max(2, round(ITEMS_BY_SIGNAL * people / (excess * deviation_of(whole))))
    costs = {COUNTS: counts, GRAM: whole - counts - along} | ({ALONG: along} if along else {})
    return Plan(costs, min(most, items))


def noised(planned: Plan, people: int, budget: Budget, releases: Releases) -> Aggregation:
    """The sum over everybody with the noise of its release; the ledger is written before the noise is drawn."""

    def aggregate(updates: Iterable[ClientUpdate]) -> ClientUpdate:
        update = total(updates)
        if update.clients != people:
            raise BadInput(f"a release is the sum over all {people} people; got one over {update.clients}")
        ((name, clean),) = update.sums.items()
        if name == COUNTS:  # half a training is no use: what cannot be finished is not begun
            whole = Entry(released="this training", cost=sum(planned.costs.values()))
            require_affordable(releases.ledger.entries(), whole, budget)
        releases.ledger.spend(Entry(released=name, cost=planned.costs[name]), budget)
        deviation = planned.deviation(name)
        return replace(update, sums={name: with_noise(clean, deviation, releases.noise), NOISE: noise_of(deviation)})

    return Aggregation(aggregate, None)


def with_noise(clean: Float32Array, deviation: float, noise: Noise) -> Float32Array:
    """These numbers with noise of that standard deviation on each."""
    noised: Float32Array = (clean + deviation * noise(clean.size).reshape(clean.shape)).astype(np.float32)
    return noised


def noise_of(deviation: float) -> Float32Array:
    """What stands beside a released sum under `NOISE`."""
    return np.array([deviation], np.float32)


def spent(settings: PrivacySettings, planned: Plan, entries: Sequence[Entry]) -> PrivacySpent:
    """What the manifest says: of all entries of the ledger, and of the planned releases."""
    return PrivacySpent(
        epsilon=round(epsilon_of(cost_so_far(entries), settings.delta), 6),  # 8, and not 8.000000000000005
        delta=settings.delta,
        run_epsilon=settings.epsilon,
        released={name: planned.deviation(name) for name in planned.costs},
    )


def most_met(counts: Float32Array, planned: Plan) -> tuple[Int32Array, Float64Array]:
    """The rows of the m items that are most met by the released counts, ascending, and their popularity, > 0."""
    chosen = np.sort(np.argsort(-counts, kind="stable")[: planned.items]).astype(np.int32)
    least = np.float32(_LEAST_POPULARITY * planned.deviation(COUNTS))
    return chosen, np.maximum(counts[chosen], least).astype(np.float64)


def people_of(counts: Float32Array, people: int) -> Float32Array:
    """About how many people met each item, from the released sum of x/|x|, shape (items,).

    It is right where all histories are of one length: then all numbers together are people · √length. Nobody released
    how long histories are, and popularity needs no more than this.

    people: whom it is the sum over.
    """
    kept = np.maximum(counts, 0)
    root = float(kept.sum(dtype=np.float64)) / people
    estimate: Float32Array = np.minimum(kept * np.float32(root), np.float32(people))
    return estimate
