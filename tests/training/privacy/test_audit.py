"""An attack on what is really released: it must not tell more of a person than is claimed, nor much less.

Two worlds differ in one person. The attacker knows everything but which of them it is, sees all releases of many
trainings, and judges each by the likelihood ratio, the best test there is. From how often that is right follows a lower
bound on ε, at 99 % confidence (Jagielski, Ullman and Oprea 2020, "Auditing differentially private machine learning").
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import beta

from feature_store.errors import BadInput
from training.client_update import ClientUpdate
from training.privacy.ledger import Budget, MemoryLedger
from training.privacy.noise import repeatable_noise
from training.privacy.release import ALONG, COUNTS, GRAM, Releases, noised, plan
from training.privacy.settings import PrivacySettings
from training.privacy.terms import along_terms, count_terms, gram_terms

ITEMS, PEOPLE, TRAININGS = 8, 12, 6000
SETTINGS = PrivacySettings(epsilon=1.0, delta=0.1, counts_share=0.3, items=6)
CHOSEN, POPULARITY = np.arange(6, dtype=np.int32), np.linspace(3, 1, 6)
TARGET = np.array([1, 4, 5], np.int32)
DIRECTIONS = np.eye(6, 2, dtype=np.float32)


def others() -> list[np.ndarray]:
    random = np.random.default_rng(8)
    return [random.permutation(ITEMS)[: random.integers(1, ITEMS)].astype(np.int32) for _ in range(PEOPLE - 1)]


def sums(histories: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {
        COUNTS: count_terms(histories, ITEMS),
        GRAM: gram_terms(histories, ITEMS, CHOSEN, POPULARITY),
        ALONG: along_terms(histories, ITEMS, CHOSEN, POPULARITY, DIRECTIONS),
    }


def unbounded(histories: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The same sums of 0/1 histories as they are."""
    met = np.array([np.isin(np.arange(ITEMS), rows) for rows in histories], np.float32)
    among = met[:, CHOSEN]
    gram = among.T @ among
    return {COUNTS: met.sum(axis=0), GRAM: gram[np.triu_indices(6)], ALONG: gram @ DIRECTIONS}


Sums = dict[str, np.ndarray]


def evidence(released: Sums, without: Sums, difference: Sums, seed: int) -> np.ndarray:
    """Of each training the logarithm of the likelihood ratio of the two worlds, up to a constant."""
    planned, noise, judged = plan(SETTINGS, PEOPLE, ITEMS), repeatable_noise(seed), np.zeros(TRAININGS)
    for training in range(TRAININGS):
        aggregate = noised(planned, PEOPLE, Budget(epsilon=90, delta=1e-5), Releases(MemoryLedger(), noise)).aggregate
        for name in released:
            seen = aggregate([ClientUpdate({name: released[name]}, 0.0, PEOPLE)]).sums[name]
            judged[training] += np.sum((seen - without[name]) * difference[name]) / planned.deviation(name) ** 2
    return judged


def lower_bound(present: np.ndarray, absent: np.ndarray, delta: float) -> float:
    """ε is at least this, with 99 % confidence; one half of the trainings chooses the threshold, the other judges."""

    def bound(right: np.ndarray, wrong: np.ndarray, threshold: float) -> float:
        hits, alarms = int((right > threshold).sum()), int((wrong > threshold).sum())
        least = beta.ppf(0.005, hits, len(right) - hits + 1) if hits else 0.0
        most = beta.ppf(0.995, alarms + 1, len(wrong) - alarms) if alarms < len(wrong) else 1.0
        return math.log((least - delta) / most) if least > delta else 0.0

    half = len(present) // 2
    thresholds = np.quantile(np.concatenate([present[:half], absent[:half]]), np.linspace(0.02, 0.98, 97))
    chosen = max(thresholds, key=lambda threshold: bound(present[:half], absent[:half], threshold))
    return bound(present[half:], absent[half:], chosen)


def audited(sums_of: Callable[[list[np.ndarray]], Sums]) -> float:
    without, present = sums_of([*others(), np.empty(0, np.int32)]), sums_of([*others(), TARGET])
    difference = {name: present[name] - without[name] for name in present}
    there, not_there = (evidence(world, without, difference, seed) for seed, world in enumerate((present, without)))
    return lower_bound(there, not_there, SETTINGS.delta)


def test_what_is_released_tells_no_more_of_a_person_than_is_claimed_and_more_than_half_as_much() -> None:
    bound = audited(sums)
    assert bound <= SETTINGS.epsilon
    assert bound > 0.5 * SETTINGS.epsilon


def test_without_the_bound_on_a_person_the_claim_is_refuted() -> None:
    assert audited(unbounded) > 2 * SETTINGS.epsilon


@pytest.mark.parametrize("people", [PEOPLE - 1, PEOPLE + 1])
def test_a_release_is_of_everybody_or_not_at_all(people: int) -> None:
    ledger = MemoryLedger()
    aggregation = noised(plan(SETTINGS, PEOPLE, ITEMS), PEOPLE, SETTINGS.all_runs, Releases(ledger))
    with pytest.raises(BadInput, match=f"all 12 people; got one over {people}"):
        aggregation.aggregate([ClientUpdate({COUNTS: np.zeros(ITEMS, np.float32)}, 0.0, people)])
    assert not ledger.entries()
