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

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from training.algorithm import Algorithm
from training.client_update import ITEM_COUNTS, ClientUpdate
from training.content_fit import placed
from training.item_tower import ItemTower
from training.named_arrays import NamedArrays
from training.privacy.release import COUNTS, GRAM, Releases, most_met, noised, people_of, plan
from training.privacy.settings import PrivacySettings
from training.privacy.spectrum import vectors_of
from training.privacy.terms import count_terms, gram_terms, symmetric
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState
from training.tower_settings import TowerSettings

ROUNDS = 2


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
        matrix = symmetric(update.sums[GRAM], len(chosen))
        target = np.zeros((tower.items, tower.dim), np.float32)
        target[chosen] = vectors_of(matrix, planned.deviation(GRAM), tower.dim)
        has_own = np.zeros(tower.items, np.bool_)
        has_own[chosen] = True
        parameters = placed(tower, state.parameters, target, has_own, content)
        return replace(state, round_number=2, parameters=parameters)

    def init(parameters: NamedArrays) -> NamedArrays:
        del parameters
        return {name: np.zeros(tower.items, np.float32) for name in (COUNTS, ITEM_COUNTS)}

    aggregation = noised(planned, people, settings.all_runs, releases)
    return Algorithm(broadcast, client_update, ServerOptimizer(init, apply), aggregation)


def _update(name: str, sums: Float32Array, people: int) -> ClientUpdate:
    return ClientUpdate({name: sums}, 0.0, people)
