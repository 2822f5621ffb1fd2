"""Private training: two sums from everybody, each with Gaussian noise, and item vectors out of those alone.

    round 1   everybody adds x/|x|; noise is added; what comes out are the counts of the items
    round 2   everybody adds a bounded term of the second moment of who met what, among the m items that are most met by
              those counts; noise is added; the eigenvectors that stand out of it are the item vectors

It is an algorithm of `training.loop` like the others: `broadcast` sends the counts that are known (none before the
first round), clients answer with their sums (`training.privacy.terms`), the aggregation adds noise and has the ledger
written before it, and the server does arithmetic on what came out. Nothing else of people's is let out: no loss, no
validation. User embeddings are folded in on the devices, from whole histories, which concerns nobody else's privacy.

Why these two and no gradients: a gradient has a term a round, and what a person may add is shared out among the rounds.
The second moment holds all that linear item vectors can be found from, and is paid for once (decision 0014).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int32Array
from feature_store.errors import BadInput
from feature_store.manifest import PrivacySpent
from training.aggregation import Aggregation, total
from training.algorithm import Algorithm
from training.client_update import ITEM_COUNTS, ClientUpdate
from training.content_fit import placed
from training.item_tower import ItemTower
from training.named_arrays import NamedArrays
from training.privacy.accountant import cost_of, deviation_of, epsilon_of
from training.privacy.ledger import Budget, Entry, Ledger, cost_so_far, require_affordable
from training.privacy.noise import Noise, secure_noise
from training.privacy.settings import PrivacySettings
from training.privacy.spectrum import vectors_of
from training.privacy.terms import count_terms, gram_terms, symmetric
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState
from training.tower_settings import TowerSettings

ROUNDS = 2
COUNTS, GRAM = "item_sums", "centred_gram"
ITEMS_BY_SIGNAL = 0.13
"""m = this · people / σ. Eigenvalues grow with people, those of the noise as σ√m; the best m on the validation part of
MovieLens-1M lies within a third of it from ε = 1 to 16."""
_LEAST_POPULARITY = (
    0.3  # in standard deviations of the noise: an item that drowned in it was met by somebody all the same
)


class Releases(NamedTuple):
    """What is written down before anything is released, and what is added to it.

    ledger: of the population, for all runs on it.
    noise: of unit variance; anything but the default is for tests and measurements.
    """

    ledger: Ledger
    noise: Noise = secure_noise()


class Plan(NamedTuple):
    """What is released, and how.

    costs: μ² of each sum, by name. items: m.
    """

    costs: dict[str, float]
    items: int

    def deviation(self, name: str) -> float:
        """σ of the noise on each number of that sum."""
        return deviation_of(self.costs[name])


def plan(settings: PrivacySettings, people: int, items: int) -> Plan:
    """The releases of a run over that many people and items, both taken as public."""
    whole = cost_of(settings.epsilon, settings.delta)
    counts = whole * settings.counts_share
    most = settings.items or max(2, round(ITEMS_BY_SIGNAL * people / deviation_of(whole)))
    return Plan({COUNTS: counts, GRAM: whole - counts}, min(most, items))


def private_algorithm(
    tower: ItemTower,
    people: int,
    settings: PrivacySettings,
    content: TowerSettings,
    releases: Releases,
) -> Algorithm[Float32Array, Int32Array]:
    """The two rounds.

    Args:
        tower: whose parameters are set.
        people: in the population; everybody takes part in both rounds.
        settings: see there.
        content: how the content part of the tower is fitted.
        releases: see there.
    """
    planned = plan(settings, people, tower.items)

    def broadcast(state: ServerState) -> Float32Array:
        return state.statistics[COUNTS] if state.round_number else np.empty(0, np.float32)

    def client_update(known: Float32Array, histories: Sequence[Int32Array]) -> ClientUpdate:
        if not len(known):
            return _update(COUNTS, count_terms(histories, tower.items), len(histories))
        chosen, popularity = most_met(known, planned)
        return _update(GRAM, gram_terms(histories, tower.items, chosen, popularity), len(histories))

    def apply(state: ServerState, update: ClientUpdate) -> ServerState:
        if state.round_number == 0:
            counts = update.sums[COUNTS]
            known = {COUNTS: counts, ITEM_COUNTS: people_of(counts, people)}
            return replace(state, round_number=1, statistics=known)
        chosen, _ = most_met(state.statistics[COUNTS], planned)
        noised = symmetric(update.sums[GRAM], len(chosen))
        target = np.zeros((tower.items, tower.dim), np.float32)
        target[chosen] = vectors_of(noised, planned.deviation(GRAM), tower.dim)
        has_own = np.zeros(tower.items, np.bool_)
        has_own[chosen] = True
        parameters = placed(tower, state.parameters, target, has_own, content)
        return replace(state, round_number=2, parameters=parameters)

    def init(parameters: NamedArrays) -> NamedArrays:
        del parameters
        return {name: np.zeros(tower.items, np.float32) for name in (COUNTS, ITEM_COUNTS)}

    aggregation = noised(planned, people, settings.all_runs, releases)
    return Algorithm(broadcast, client_update, ServerOptimizer(init, apply), aggregation)


def noised(planned: Plan, people: int, budget: Budget, releases: Releases) -> Aggregation:
    """The sum over everybody with the noise of its release; the ledger is written before the noise is drawn."""

    def aggregate(updates: Iterable[ClientUpdate]) -> ClientUpdate:
        update = total(updates)
        if update.clients != people:
            raise BadInput(f"a release is the sum over all {people} people; got one over {update.clients}")
        if COUNTS in update.sums:  # half a training is no use: what cannot be finished is not begun
            whole = Entry(released="this training", cost=sum(planned.costs.values()))
            require_affordable(releases.ledger.entries(), whole, budget)
        for name in update.sums:
            releases.ledger.spend(Entry(released=name, cost=planned.costs[name]), budget)
        sums = {
            name: (array + planned.deviation(name) * releases.noise(array.size)).astype(np.float32)
            for name, array in update.sums.items()
        }
        return replace(update, sums=sums)

    return Aggregation(aggregate, None)


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
    return chosen, np.maximum(counts[chosen].astype(np.float64), _LEAST_POPULARITY * planned.deviation(COUNTS))


def people_of(counts: Float32Array, people: int) -> Float32Array:
    """About how many people met each item, from the released sum of x/|x|, shape (items,).

    It is right where all histories are of one length: then all numbers together are people · √length. Nobody released
    how long histories are, and popularity needs no more than this.
    """
    kept = np.maximum(counts, 0)
    root = float(kept.sum(dtype=np.float64)) / people
    estimate: Float32Array = np.minimum(kept * np.float32(root), np.float32(people))
    return estimate


def _update(name: str, sums: Float32Array, people: int) -> ClientUpdate:
    return ClientUpdate({name: sums}, 0.0, people)
