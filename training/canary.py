"""The canary: a scorer without learning that finds held-out items only if training has peeked at them.

Where the negatives of training leave out the held-out items, those are the ones that are never pushed, and "rank
highest what was pushed least" finds them all. Several published recommenders are evaluated on that mistake. Here one
client at a time takes part in rounds of its own, with one held-out item among 99 that were not met, and what the
rounds do to their scores is measured. All hundred are given the same item vector beforehand: a loss may push a high
score more than a low one, and a sampled loss pushes what it has drawn, but what an honest training does to one of
them is as likely to happen to any other. The canary stays at chance.
"""

from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings, fold_in
from training.item_tower import ID_EMBEDDING
from training.recommender import RecommenderAlgorithm
from training.server_state import ServerState
from training.split import Split

NEGATIVES = 99
CUTOFF = 10
CHANCE = CUTOFF / (NEGATIVES + 1)
_PRECISION = 2  # decimals of a push relative to the client's median: what float32 leaves of a small score
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Canary:
    """hr_10: share of people whose held-out item is among the canary's top 10 of 100; honest is `CHANCE`."""

    hr_10: float
    users: int
    chance: float = CHANCE

    @property
    def is_honest(self) -> bool:
        """Whether it is within three standard errors of chance, for a sample of that many people."""
        return bool(abs(self.hr_10 - self.chance) <= 3 * np.sqrt(self.chance * (1 - self.chance) / self.users))


def canary(
    algorithm: RecommenderAlgorithm,
    item_vectors: Float32Array,
    settings: FoldInSettings,
    split: Split,
    users: int = 200,
    rounds: int = 1,
) -> Canary:
    """Let the canary rank one held-out item of each of some people against 99 items that they have not met.

    Args:
        algorithm: for a population of one client, over an item tower that is its id embedding alone.
        item_vectors: Q to start each round from, shape (items, dim).
        settings: the weights of the loss.
        split: whose test items are hidden from training.
        users: how many people to take; all, where there are fewer.
        rounds: how many each of them trains for. One shows a loss over all items; a sampled loss takes as many as it
            needs to draw nearly every item.

    Raises:
        BadInput: nobody has a test item and 99 unmet ones.
    """
    random = np.random.default_rng(0)
    eligible = np.flatnonzero((split.train.lengths > 0) & (split.test.lengths > 0))
    chances = []
    for client in random.permutation(eligible)[:users]:
        history, held_out = split.train[client], split.test[client]
        unmet = np.setdiff1d(
            np.arange(len(item_vectors), dtype=np.int32),
            np.concatenate([history, split.valid[client], held_out]),
        )
        if len(unmet) < NEGATIVES:
            continue
        candidates = np.append(held_out[:1], random.choice(unmet, NEGATIVES, replace=False))
        alike = item_vectors.copy()
        alike[candidates] = item_vectors[candidates[0]]
        embedding = fold_in(alike, alike.T @ alike, history, settings)
        pushes = _pushes(algorithm, alike, embedding, history, candidates, rounds)
        chances.append(chance_of_top(pushes, CUTOFF))
    if not chances:
        raise BadInput(f"nobody has a test item and {NEGATIVES} items not met; the canary needs them")
    return Canary(float(np.mean(chances)), len(chances))


def _pushes(
    algorithm: RecommenderAlgorithm,
    item_vectors: Float32Array,
    embedding: Float32Array,
    history: Int32Array,
    candidates: Int32Array,
    rounds: int,
) -> Float32Array:
    """How far rounds with this client alone move each candidate's score, relative to the median."""
    parameters = {ID_EMBEDDING: item_vectors}
    state = ServerState(0, parameters, algorithm.server.init(parameters))
    for _ in range(rounds):
        state = algorithm.server.apply(state, algorithm.client_update(algorithm.broadcast(state), [history]))
    moved = np.abs((state.parameters[ID_EMBEDDING][candidates] - item_vectors[candidates]) @ embedding)
    relative: Float32Array = np.round(moved / max(float(np.median(moved)), _TINY), _PRECISION)
    return relative


def chance_of_top(pushes: Float32Array, cutoff: int) -> float:
    """The chance that candidate 0 is among the `cutoff` least pushed, equal ones in random order.

    >>> chance_of_top(np.array([1.0, 1.0, 1.0, 1.0]), cutoff=2), chance_of_top(np.array([0.0, 1.0, 1.0]), cutoff=1)
    (0.5, 1.0)
    """
    less = int((pushes < pushes[0]).sum())
    equal = int((pushes == pushes[0]).sum())
    return min(1.0, max(0.0, (cutoff - less) / equal))
