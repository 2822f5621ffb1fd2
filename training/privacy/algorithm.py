"""Private training: three sums from everybody, each with Gaussian noise, and item vectors out of those alone.

    round 1   everybody adds x/|x|; noise is added; what comes out are the counts of the items
    round 2   everybody adds a bounded term of the second moment of who met what, among the m items that are most met by
              those counts; noise is added; the eigenvectors that stand out of it are the item vectors
    round 3   everybody adds a bounded term along those directions and the next; noise is added; the directions are set
              right by it (`training.privacy.refinement`)

It is an algorithm of `training.loop` like the others: `broadcast` sends what is known of the items (nothing before the
first round), clients answer with their sums (`training.privacy.question`), the aggregation adds noise and has the
ledger written before it, and the server does arithmetic on what came out. Between cells each cell adds its share of the
noise to its own sums (`training.federation.private_cell`), and the aggregation in here stays unused. Nothing else of
people's is let out: no loss, no validation. User embeddings are folded in on the devices, from whole histories, which
concerns nobody else's privacy.

Why these and no gradients: a gradient has a term a round, and what a person may add is shared out among the rounds.
The second moment holds all that linear item vectors can be found from, and is paid for once (decision 0016).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from feature_store.arrays import Int32Array
from training.algorithm import Algorithm
from training.client_update import ITEM_COUNTS, ClientUpdate
from training.content_fit import placed
from training.item_tower import ItemTower
from training.named_arrays import NamedArrays
from training.privacy.question import Known, Question
from training.privacy.refinement import ASKED, Spectrum, refined
from training.privacy.release import ALONG, COUNTS, GRAM, NOISE, Releases, most_met, noised, people_of, plan
from training.privacy.settings import PrivacySettings
from training.privacy.spectrum import leading, vectors_of
from training.privacy.terms import symmetric
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState
from training.tower_settings import TowerSettings

POPULARITY, DIRECTIONS, VALUES, GRAM_NOISE = "popularity", "directions", "values", "gram_noise"


def private_algorithm(
    tower: ItemTower,
    people: int,
    settings: PrivacySettings,
    content: TowerSettings,
    releases: Releases,
) -> Algorithm[Known, Int32Array]:
    """The rounds.

    Args:
        tower: whose parameters are set.
        people: in the population; everybody takes part in each round.
        settings: see there.
        content: how the content part of the tower is fitted.
        releases: see there.
    """
    planned = plan(settings, people, tower.items, releases.excess)

    def broadcast(state: ServerState) -> Known:
        known = (state.statistics[POPULARITY][:, None], state.statistics[DIRECTIONS])[: state.round_number]
        return np.concatenate([np.empty((tower.items, 0), np.float32), *known], axis=1)

    def client_update(known: Known, histories: Sequence[Int32Array]) -> ClientUpdate:
        question = Question.of(known)
        return ClientUpdate({question.released: question.terms(histories, tower.items)}, 0.0, len(histories))

    def apply(state: ServerState, update: ClientUpdate) -> ServerState:
        statistics = dict(state.statistics)
        if state.round_number == 0:
            counts, there = update.sums[COUNTS], update.clients
            chosen, popularity = most_met(counts, planned)
            statistics |= {COUNTS: counts, ITEM_COUNTS: people_of(counts, there) * np.float32(people / there)}
            statistics[POPULARITY] = np.zeros(tower.items, np.float32)
            statistics[POPULARITY][chosen] = popularity
            return replace(state, round_number=1, statistics=statistics)
        chosen = np.flatnonzero(statistics[POPULARITY]).astype(np.int32)
        noise = float(update.sums[NOISE][0])
        if state.round_number == 1:
            statistics[GRAM_NOISE] = update.sums[NOISE]
            spectrum = leading(symmetric(update.sums[GRAM], len(chosen)), noise, len(chosen))
            asked = min(ASKED * max(1, int(np.count_nonzero(spectrum.values))), len(chosen))
            directions = np.zeros((tower.items, asked), np.float32)
            directions[chosen] = spectrum.directions[:, :asked]
            statistics |= {DIRECTIONS: directions, VALUES: spectrum.values[:asked].astype(np.float32)}
        else:
            asked_about = Spectrum(
                statistics[DIRECTIONS][chosen].astype(np.float64), statistics[VALUES].astype(np.float64)
            )
            along = update.sums[ALONG].astype(np.float64)
            spectrum = refined(asked_about, float(statistics[GRAM_NOISE][0]), along, noise)
        target = np.zeros((tower.items, tower.dim), np.float32)
        target[chosen] = vectors_of(spectrum, tower.dim)
        has_own = np.zeros(tower.items, np.bool_)
        has_own[chosen] = True
        parameters = placed(tower, state.parameters, target, has_own, content)
        return replace(state, round_number=state.round_number + 1, parameters=parameters, statistics=statistics)

    def init(parameters: NamedArrays) -> NamedArrays:
        del parameters
        return {
            **{name: np.zeros(tower.items, np.float32) for name in (COUNTS, ITEM_COUNTS, POPULARITY)},
            DIRECTIONS: np.zeros((tower.items, 0), np.float32),
            **{name: np.zeros(0, np.float32) for name in (VALUES, GRAM_NOISE)},
        }

    aggregation = noised(planned, people, settings.all_runs, releases)
    return Algorithm(broadcast, client_update, ServerOptimizer(init, apply), aggregation)
