"""Attacks: what an honest but curious server finds out about single people from what it really receives.

Three attacks, on people drawn at random:

    sign         which items a person met, from the rows of what trains item vectors. All rows of one update are
                 multiples of one direction; those of the items met stand out to one side. AUC among pairs of an item
                 met and one not met that about as many people have met, so that to know what is popular is worth .5;
                 and F1 of the n highest, n known to the attacker, beside the F1 of the n most popular.
    support      the items whose numbers are not 0: F1.
    membership   whether a person took part at all, by somebody who knows the person's whole history and has a reference
                 of other people like them (Homer et al. 2008): AUC, .5 for who knows nothing.

The same attacks meet single updates, the sum over a cohort, and the noised sums of private training over half the
people. For those there is also the AUC that nobody at all can pass, whatever they know of everybody else: Φ(μ/√2).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.fold_in import FoldInSettings
from training.client_update import ITEM_COUNTS, ClientUpdate
from training.cohort import population
from training.histories import Chosen, Histories
from training.local_training import local_training_update
from training.privacy.accountant import cost_of
from training.privacy.ledger import MemoryLedger
from training.privacy.noise import repeatable_noise
from training.privacy.refinement import ASKED
from training.privacy.release import ALONG, COUNTS, GRAM, Releases, most_met, noised, plan
from training.privacy.settings import PrivacySettings
from training.privacy.spectrum import leading
from training.privacy.terms import along_terms, count_terms, gram_terms, symmetric
from training.reconstruction import curvature_update

TARGETS, COHORT, DIM = 150, 600, 32
_GENERATOR = 11


def measure_attacks(train: Histories, items: int, epsilons: Sequence[float], delta: float, seed: int) -> dict[str, Any]:
    """The attacks on each thing that a server may receive.

    Args:
        train: what each client has.
        items: in the vocabulary.
        epsilons: of the private trainings.
        delta: likewise.
        seed: of the targets, the cohort, the item vectors and the noise.
    """
    random = np.random.default_rng([seed, _GENERATOR])
    everybody = random.permutation(population(train))
    targets = min(TARGETS, len(everybody) // 4)
    outsiders, rest = everybody[:targets], everybody[targets:]
    cohort, half = rest[: min(COHORT, len(rest) // 3)], rest[: len(rest) // 2]
    reference, inside = rest[len(rest) // 2 :], rest[:targets]
    counts = np.bincount(train.rows, minlength=items)
    vectors = (random.standard_normal((items, DIM)) * 0.3).astype(np.float32)
    weights = FoldInSettings(min(1.0, 720 / items), 0.01)
    scene = _Scene(train, items, counts, inside, outsiders, reference)

    def trained(clients: Int64Array) -> ClientUpdate:
        return local_training_update(vectors, Chosen(train, clients), weights, 2, 0.1)

    def reconstructed(clients: Int64Array) -> ClientUpdate:
        return curvature_update(vectors, Chosen(train, clients), weights)

    result: dict[str, dict[str, float]] = {}
    for name, update, rows in (("fedavg", trained, "item_delta"), ("curvature", reconstructed, "item_gradient")):
        alone = [update(np.array([person])) for person in inside]
        together = update(np.sort(cohort))
        result[f"{name}, updates apart"] = scene.guessed([each.sums[rows] for each in alone]) | {"membership_auc": 1.0}
        result[f"{name}, sums over a cohort"] = scene.guessed([together.sums[rows]] * targets) | {
            "membership_auc": scene.membership_by_counts(together.sums[ITEM_COUNTS], len(cohort))
        }
    for epsilon in epsilons:
        result |= _private(scene, np.sort(half), epsilon, delta, seed)
    result["nothing"] = {"sign_auc": 0.5, "membership_auc": 0.5} | scene.by_popularity()
    return {"targets": targets, "cohort": len(cohort), "people_of_private": len(half), "received": result}


def _private(scene: "_Scene", people: Int64Array, epsilon: float, delta: float, seed: int) -> dict[str, Any]:
    settings = PrivacySettings(epsilon=epsilon, delta=delta)
    planned = plan(settings, len(people), scene.items)
    alone = [count_terms([scene.train[person]], scene.items) for person in scene.inside]
    clean = count_terms(Chosen(scene.train, people), scene.items)
    aggregation = noised(planned, len(people), settings.all_runs, Releases(MemoryLedger(), repeatable_noise(seed)))

    def released(name: str, sums: Float32Array) -> Float32Array:
        return aggregation.aggregate([ClientUpdate({name: sums}, 0.0, len(people))]).sums[name]

    counts = released(COUNTS, clean)
    chosen, popularity = most_met(counts, planned)
    gram = released(GRAM, gram_terms(Chosen(scene.train, people), scene.items, chosen, popularity))

    spectrum = leading(symmetric(gram, len(chosen)), planned.deviation(GRAM), len(chosen))
    asked = ASKED * max(1, int(np.count_nonzero(spectrum.values)))
    directions = spectrum.directions[:, :asked].astype(np.float32)

    def sums_of(histories: Sequence[Int32Array]) -> dict[str, Float32Array]:
        return {
            COUNTS: count_terms(histories, scene.items),
            GRAM: gram_terms(histories, scene.items, chosen, popularity),
            ALONG: along_terms(histories, scene.items, chosen, popularity, directions),
        }

    seen_sums = {COUNTS: counts, GRAM: gram}
    seen_sums[ALONG] = released(ALONG, sums_of(Chosen(scene.train, people))[ALONG])
    share = len(people) / len(scene.reference)
    expected = sums_of(Chosen(scene.train, scene.reference))
    apart = {name: (seen_sums[name] - share * expected[name]) / planned.deviation(name) ** 2 for name in expected}

    def evidence(person: int) -> float:
        terms = sums_of([scene.train[person]])
        return float(sum(np.sum(terms[name] * apart[name]) for name in terms))

    seen = [np.array([evidence(int(person)) for person in side]) for side in (scene.inside, scene.outsiders)]
    return {
        "private, terms apart": scene.guessed(alone) | {"membership_auc": 1.0},
        f"private ε = {epsilon:g}, noised sums": scene.guessed([counts] * len(alone))
        | {"membership_auc": auc(*seen), "membership_auc_at_most": _at_most(cost_of(epsilon, delta))},
    }


class _Scene:
    """Whom the attacks are on, and what is known of all: how popular items are, and the histories of a reference."""

    def __init__(
        self,
        train: Histories,
        items: int,
        counts: Int64Array,
        inside: Int64Array,
        outsiders: Int64Array,
        reference: Int64Array,
    ) -> None:
        self.train, self.items, self.counts = train, items, counts
        self.inside, self.outsiders, self.reference = inside, outsiders, reference

    def guessed(self, received: list[Float32Array]) -> dict[str, float]:
        """Sign and support attack on each target, of what was received of it; means over the targets."""
        signs, found, supports = [], [], []
        for person, array in zip(self.inside, received, strict=True):
            met = np.zeros(self.items, np.bool_)
            met[self.train[int(person)]] = True
            scores = sign_scores(array)
            signs.append(matched_auc(scores, met, self.counts))
            found.append(f1(np.argsort(-scores, kind="stable")[: met.sum()], met))
            supports.append(f1(np.flatnonzero(array.reshape(self.items, -1).any(axis=1)), met))
        return {
            "sign_auc": float(np.mean(signs)),
            "sign_f1": float(np.mean(found)),
            "support_f1": float(np.mean(supports)),
        }

    def by_popularity(self) -> dict[str, float]:
        """F1 of guessing what is popular, n items, and of guessing everything."""
        popular = np.argsort(-self.counts, kind="stable")
        n = [np.isin(np.arange(self.items), self.train[int(person)]) for person in self.inside]
        return {
            "sign_f1": float(np.mean([f1(popular[: met.sum()], met) for met in n])),
            "support_f1": float(np.mean([f1(np.arange(self.items), met) for met in n])),
        }

    def membership_by_counts(self, sums: Float32Array, people: int) -> float:
        """Whether targets are among those whose counts were added, each item's surprise weighed by how rare it is."""
        reference = np.bincount(self.train.read(np.sort(self.reference)), minlength=self.items)
        expected = reference * (people / len(self.reference)) + 0.5
        surprise = (sums - expected) / expected
        return auc(*(np.array([surprise[self.train[int(p)]].sum() for p in side]) for side in self._sides()))

    def _sides(self) -> tuple[Int64Array, Int64Array]:
        return self.inside, self.outsiders


def sign_scores(array: Float32Array) -> Float64Array:
    """How far each item's row reaches along the direction that the rows share, the rare far ones counted positive.

    array: shape (items, dim), or (items,) where a row is one number.
    """
    if array.ndim == 1:
        return array.astype(np.float64)
    _, directions = np.linalg.eigh(array.T.astype(np.float64) @ array)
    along: Float64Array = array @ directions[:, -1]
    skew = np.sum((along - along.mean()) ** 3)
    return along if skew >= 0 else -along


def matched_auc(scores: Float64Array, met: BoolArray, counts: Int64Array) -> float:
    """AUC among pairs of an item met and one that was not: the next more popular and the next less popular.

    .5 for who knows what is popular and nothing else, as a score by popularity is right about the one and wrong about
    the other.
    """
    order = np.argsort(counts, kind="stable")
    unmet = np.flatnonzero(~met[order])
    above = np.searchsorted(unmet, np.flatnonzero(met[order]))
    inside = (above > 0) & (above < len(unmet))  # of the most and the least popular there is but one of the two
    own = scores[order[met[order]]][inside]
    pairs = [scores[order[unmet[place[inside]]]] for place in (above - 1, above)]
    return float(np.mean([np.mean((own > other) + (own == other) / 2) for other in pairs]))


def auc(positive: Float64Array, negative: Float64Array) -> float:
    """How often a positive has the higher score, ties counted half."""
    differences = positive[:, None] - negative[None, :]
    return float(np.mean((differences > 0) + (differences == 0) / 2))


def f1(guessed: Int32Array | Int64Array, met: BoolArray) -> float:
    """The harmonic mean of precision and recall of guessed rows."""
    return float(2 * met[guessed].sum() / (len(guessed) + met.sum()))


def _at_most(cost: float) -> float:
    """Φ(μ/√2), the AUC of the likelihood ratio of two normal distributions μ apart."""
    return (1 + math.erf(math.sqrt(cost) / 2)) / 2
