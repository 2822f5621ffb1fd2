"""Privacy: what ranking quality is left at which ε, and what an honest but curious server learns of single people."""

import time
from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any

from benchmarks.machine import provenance
from benchmarks.privacy_attacks import measure_attacks
from training.cohort import population
from training.evaluation import Quality
from training.privacy.ledger import MemoryLedger
from training.privacy.noise import repeatable_noise
from training.privacy.release import Plan, Releases, plan
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

EPSILONS = (1.0, 2.0, 4.0, 8.0, 16.0)


def measure_privacy(
    split: Split,
    *,
    delta: float,
    dim: int,
    rounds: int,
    seeds: Sequence[int],
    report: Callable[[str], None],
    epsilons: Sequence[float] = EPSILONS,
    attacked_at: Sequence[float] = (1.0, 8.0),
) -> dict[str, Any]:
    """Train at each ε and without privacy, judge on the test part, and attack what the server receives.

    Nothing is chosen here, by no part of the data: private settings are the defaults.

    Args:
        split: the data.
        delta: of every ε.
        dim: numbers in an item vector.
        rounds: of the training without privacy.
        seeds: of the noise; without privacy of the cohorts.
        report: is told what is being done.
        epsilons: of the curve.
        attacked_at: each ε of a private training that is attacked.
    """
    final = split.judged
    curve = []
    for epsilon in (*epsilons, None):
        report(f"ε = {'none' if epsilon is None else f'{epsilon:g}'}")
        curve.append(_point(final, epsilon, delta, dim, rounds, seeds))
    report("attacks")
    return {
        "benchmark": "privacy",
        **provenance(),
        "people": len(population(final.train)),
        "items": len(final.vocabulary),
        "delta": delta,
        "neighbours": "one person's whole history is there or is not; the number of people is public",
        "released": "item counts, the second moment, and its refinement, all accounted for; nothing else",
        "curve": curve,
        "attacks": measure_attacks(final.train, len(final.vocabulary), attacked_at, delta, seeds[0]),
    }


def _point(
    split: Split, epsilon: float | None, delta: float, dim: int, rounds: int, seeds: Sequence[int]
) -> dict[str, Any]:
    qualities: list[Quality] = []
    seconds, uplink, people = 0.0, 0, len(population(split.train))
    for seed in seeds:
        privacy = None if epsilon is None else {"epsilon": epsilon, "delta": delta}
        shape = {"dim": dim, "rounds": rounds, "seed": seed, "patience": 0, "privacy": privacy}
        settings = TrainingSettings.model_validate(shape)
        run = prepare(split, settings, releases=Releases(MemoryLedger(), repeatable_noise(seed)))
        state, started, uplink = run.start(), time.perf_counter(), 0
        for after, told in run.rounds(state, validate=False):
            state = after
            uplink += told.uplink_bytes_per_client * told.cohort // people
        seconds += (time.perf_counter() - started) / len(seeds)
        qualities.append(run.test(state))
    figures = [quality.figures() for quality in qualities]
    names = ("recall@20", "ndcg@20")
    planned = None if settings.privacy is None else plan(settings.privacy, people, len(split.vocabulary))
    return {
        "epsilon": epsilon,
        **{name: mean(each[name] for each in figures) for name in names},
        "spread": {name: stdev(each[name] for each in figures) if len(figures) > 1 else 0.0 for name in names},
        "seconds": seconds,
        "uplink_bytes_per_client": uplink,
        **({"items": planned.items, "deviations": _deviations(planned)} if planned else {}),
    }


def _deviations(planned: Plan) -> dict[str, float]:
    return {name: planned.deviation(name) for name in planned.costs}
