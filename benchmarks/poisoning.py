"""Poisoning: how far a few malicious people, devices or a cell bring one unpopular item, and what defences cost.

Exposure is ER@10, the share of honest people who have not met the target and are shown it among ten (Rong et al. 2022,
section 5.1). Malicious people come on top of the honest ones and are never judged. Nothing is chosen here by the test
part: the settings are the defaults, and attackers choose their strength by the exposure that it brings, so that the
figure of a defence is that against the attack which it meets worst.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from statistics import mean
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from benchmarks.machine import provenance
from benchmarks.poisoning_attacks import (
    Direction,
    Knowledge,
    chosen_history,
    guess,
    sent_by_cell,
    sent_by_device,
    times,
    with_fillers,
)
from feature_store.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.errors import BadInput
from training.aggregation import total
from training.client_update import ClientUpdate
from training.cohort import population
from training.evaluation import fold_in_scorer, rank_everybody
from training.federation.forms import round_form
from training.federation.tasks import LossSettings
from training.histories import Chosen, Histories, stored
from training.loop import run_rounds
from training.recommender import RecommenderAlgorithm
from training.run import TrainingRun, prepare
from training.settings import TrainingSettings
from training.split import Split
from training.transport import simulation
from training.user_bound import UserBound, brought_within

SHARE = 0.05
UNPOPULAR = range(1, 6)  # people who have met a target
_SHOWN = 10
_GENERATOR = 13

Update: TypeAlias = Callable[[Float32Array, Sequence[Int32Array]], ClientUpdate]

DEFENCES: Mapping[str, Mapping[str, Any]] = {
    "none": {"curvature": {"row_bound": None}},
    "rows of 0.25": {},
    "rows of 0.1": {"curvature": {"row_bound": 0.1}},
    "norm of 3": {"curvature": {"row_bound": None}, "aggregation": {"clip_norm": 3.0}},
    "norm of 1": {"curvature": {"row_bound": None}, "aggregation": {"clip_norm": 1.0}},
    "median of groups of 10": {
        "curvature": {"row_bound": None},
        "aggregation": {"rule": "median", "group_size": 10},
    },
    "trimmed mean of groups of 10": {
        "curvature": {"row_bound": None},
        "aggregation": {"rule": "trimmed_mean", "trim": 0.2, "group_size": 10},
    },
}
"""By name, what a run without attention to attackers has set otherwise. The median and the trimmed mean see votes."""

LENGTHS = (2.0, 4.0, 8.0, 16.0)
DIRECTIONS: tuple[Direction, ...] = ("newton", "system")


class Outcome(NamedTuple):
    """Of one run.

    exposure: ER@10 of the target. ndcg: @20 of the honest people on the test items. length: of the target's vector.
    """

    exposure: float
    ndcg: float
    length: float


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A population under attack.

    clean: the honest people.
    split: the same, and behind them the malicious with nothing to find.
    target: row of the item.
    known: histories of honest people whom attackers know.
    seed: of the run.
    """

    clean: Split
    split: Split
    target: int
    known: Sequence[Int32Array]
    seed: int

    @property
    def honest(self) -> int:
        """How many are."""
        return len(self.clean.train)

    @property
    def malicious(self) -> int:
        """How many are not."""
        return len(self.split.train) - self.honest


class Attempt(NamedTuple):
    """What malicious clients have at hand in a run. honest: the update of somebody who computes as they should."""

    scene: Scene
    settings: TrainingSettings
    honest: Update
    knowledge: Knowledge


Attack: TypeAlias = Callable[[Attempt, Float32Array, Histories, Int64Array], ClientUpdate]
"""The sum that the malicious clients of a group send, from the item vectors, all histories, and their numbers."""


def measure_poisoning(
    split: Split,
    *,
    targets: int,
    seeds: Sequence[int],
    rounds: int,
    dim: int,
    report: Callable[[str], None],
    defences: Mapping[str, Mapping[str, Any]] = DEFENCES,
    lengths: Sequence[float] = LENGTHS,
) -> dict[str, Any]:
    """Train under each attack with each defence; exposure and quality, means over targets and seeds.

    Args:
        split: the data.
        targets: unpopular items, each attacked in runs of its own.
        seeds: of the cohorts, the fillers and whom attackers know.
        rounds: of each run.
        dim: numbers in an item vector.
        report: is told what is being done.
        defences: by name, the settings.
        lengths: among which attackers choose the length of the vector that they move the target to.

    Raises:
        BadInput: there are not so many unpopular items.
    """
    final = split.judged
    items = unpopular(final, targets)
    scenes = [scene(final, target, seed) for target in items for seed in seeds]
    table = {}
    for name, settings in defences.items():
        report(name)
        shape = {"rounds": rounds, "dim": dim, "patience": 0, **settings}
        table[name] = against_all(scenes, shape, lengths)
    return {
        "benchmark": "poisoning",
        **provenance(),
        "people": scenes[0].honest,
        "malicious": scenes[0].malicious,
        "items": len(final.vocabulary),
        "targets": [final.vocabulary.item_ids[target] for target in items],
        "seeds": list(seeds),
        "rounds": rounds,
        "dim": dim,
        "honestly_met_as_often": honestly_met_as_often(
            final, scenes[0].malicious, {"rounds": rounds, "dim": dim, "patience": 0}, seeds[0]
        ),
        "defences": table,
    }


def unpopular(split: Split, targets: int) -> list[int]:
    """Rows of items that a few have met, drawn once and for all."""
    counts = np.bincount(split.train.rows, minlength=len(split.vocabulary))
    few = np.flatnonzero(np.isin(counts, UNPOPULAR))
    if len(few) < targets:
        raise BadInput(f"{targets} targets are asked for; {len(few)} items were met by {min(UNPOPULAR)} to 5 people")
    return [int(row) for row in np.random.default_rng(_GENERATOR).choice(few, targets, replace=False)]


def scene(split: Split, target: int, seed: int, share: float = SHARE) -> Scene:
    """The honest people of a split, and that share of them more who are malicious."""
    random = np.random.default_rng([seed, target, _GENERATOR])
    malicious = max(1, round(share * len(population(split.train))))
    counts = np.bincount(split.train.rows, minlength=len(split.vocabulary))
    fake = with_fillers(target, counts, malicious, random)
    nothing = [np.empty(0, np.int32)] * malicious
    known = random.choice(population(split.train), malicious, replace=False)
    together = replace(
        split,
        user_ids=(*split.user_ids, *(f"malicious {number}" for number in range(malicious))),
        train=Histories.of([*split.train, *fake]),
        valid=Histories.of([*split.valid, *nothing]),
        test=Histories.of([*split.test, *nothing]),
        log=None,
        final=None,
        meetings=None,
    )
    return Scene(split, together, target, [split.train[int(person)] for person in known], seed)


def against_all(
    scenes: Sequence[Scene], shape: Mapping[str, Any], lengths: Sequence[float]
) -> dict[str, dict[str, Any]]:
    """The mean outcome of each attack under the same settings; of those with a choice, the one that exposes most."""

    def over(attack: Attack | None) -> Outcome:
        outcomes = [run_attacked(each, shape, attack) for each in scenes]
        return Outcome(*(mean(numbers) for numbers in zip(*outcomes, strict=True)))

    found: dict[str, dict[str, Any]] = {
        name: over(attack)._asdict() for name, attack in (("nobody", None), ("fillers", fillers))
    }
    histories = [{**over(partial(chosen, direction=way))._asdict(), "goal": [way]} for way in DIRECTIONS]
    found["chosen"] = max(histories, key=lambda one: one["exposure"])
    added = TrainingSettings.model_validate(shape).aggregation.rule == "mean"
    for name, attack in (
        ("device", device),
        *([("cell", cell)] if added else []),
    ):  # the votes are of groups of clients
        tried = [
            {**over(partial(attack, length=length, direction=direction))._asdict(), "goal": [length, direction]}
            for length, direction in product(lengths, DIRECTIONS)
        ]
        found[name] = max(tried, key=lambda one: one["exposure"])
    return found


def fillers(attempt: Attempt, vectors: Float32Array, histories: Histories, clients: Int64Array) -> ClientUpdate:
    """The histories that they began with, computed as they should be."""
    return attempt.honest(vectors, Chosen(histories, clients))


def chosen(
    attempt: Attempt, vectors: Float32Array, histories: Histories, clients: Int64Array, *, direction: Direction
) -> ClientUpdate:
    """The history that is best for this round, computed as it should be, from all of them."""
    del histories
    best = chosen_history(vectors, attempt.knowledge, guess(vectors, attempt.knowledge), direction)
    return times(attempt.honest(vectors, [best]), len(clients))


def device(
    attempt: Attempt,
    vectors: Float32Array,
    histories: Histories,
    clients: Int64Array,
    *,
    length: float,
    direction: Direction,
) -> ClientUpdate:
    """Whatever they like, within the bound that whoever adds up single updates holds them to."""
    del histories
    found = guess(vectors, attempt.knowledge)
    sent = sent_by_device(vectors, attempt.knowledge, found, attempt.scene.malicious, length, direction)
    return times(brought_within(sent, attempt.knowledge.bound), len(clients))


def cell(
    attempt: Attempt,
    vectors: Float32Array,
    histories: Histories,
    clients: Int64Array,
    *,
    length: float,
    direction: Direction,
) -> ClientUpdate:
    """Whatever they like, within the layout of the round: nobody sees more than the sum over cells."""
    del histories
    found, settings = guess(vectors, attempt.knowledge), attempt.settings
    loss = LossSettings(
        alpha=attempt.knowledge.weights.alpha,
        regularization=attempt.knowledge.weights.regularization,
        activity_exponent=attempt.knowledge.exponent,
        row_bound=settings.curvature.row_bound,
    )
    items, dim = vectors.shape
    form = round_form(items, dim, min(settings.cohort, attempt.knowledge.people), loss)
    sent = sent_by_device(vectors, attempt.knowledge, found, attempt.scene.malicious, length, direction)
    return sent_by_cell(sent, len(clients), form.bounds["item_gradient"])


def run_attacked(attacked: Scene, shape: Mapping[str, Any], attack: Attack | None) -> Outcome:
    """Train with the malicious among the clients, or without them, and see what the honest are shown."""
    split = attacked.clean if attack is None else attacked.split
    run = prepare(split, TrainingSettings.model_validate({**shape, "seed": attacked.seed}))
    if attack is None:
        return _outcome(attacked, run, run.algorithm)
    settings, honest = run.settings, run.algorithm.client_update
    knowledge = Knowledge(
        attacked.target,
        attacked.known,
        len(population(split.train)),
        run.fold_in,
        settings.curvature.activity_exponent,
        UserBound(settings.curvature.row_bound, settings.aggregation.clip_norm),
    )
    attempt = Attempt(attacked, settings, honest, knowledge)

    def client_update(vectors: Float32Array, clients: Sequence[Int32Array]) -> ClientUpdate:
        histories, numbers = stored(clients)
        good, bad = numbers[numbers < attacked.honest], numbers[numbers >= attacked.honest]
        sent = [honest(vectors, Chosen(histories, good))] if len(good) else []
        return total([*sent, attack(attempt, vectors, histories, bad)] if len(bad) else sent)

    return _outcome(attacked, run, run.algorithm._replace(client_update=client_update))


def _outcome(attacked: Scene, run: TrainingRun, algorithm: RecommenderAlgorithm) -> Outcome:
    train, settings = run.split.train, run.settings
    transport = simulation(algorithm, train, population(train), settings.cohort, settings.seed)
    *_, (state, _) = run_rounds(algorithm, transport, run.start(), rounds=settings.rounds)
    vectors = run.item_vectors(state)
    exposure = float(exposures(attacked.clean, run, vectors)[attacked.target])
    return Outcome(exposure, run.test(state).ndcg, float(np.linalg.norm(vectors[attacked.target])))


def exposures(split: Split, run: TrainingRun, vectors: Float32Array) -> Float64Array:
    """ER@10 of each item, shape (items,): of the people judged who have not met it, how many are shown it."""
    items = len(vectors)
    shown, unmet = np.zeros(items), np.full(items, float(np.count_nonzero(split.test.lengths)))
    for ranked in rank_everybody(fold_in_scorer(vectors, split.train, run.fold_in), items, split.test, _met(split)):
        top, counted = ranked.top[:, :_SHOWN], (ranked.is_there & ~ranked.is_hit)[:, :_SHOWN]
        shown += np.bincount(top[counted], minlength=items)
        for part in (*_met(split), split.test):
            unmet -= np.bincount(part.read(ranked.clients), minlength=items)
    shares: Float64Array = shown / np.maximum(unmet, 1)
    return shares


def _met(split: Split) -> tuple[Histories, ...]:
    return (split.train, split.valid)


def honestly_met_as_often(split: Split, people: int, shape: Mapping[str, Any], seed: int) -> dict[str, float]:
    """What items that about that many people have met (within a fifth) are shown to others, where nobody attacks."""
    run = prepare(split, TrainingSettings.model_validate({**shape, "seed": seed}))
    *_, (state, _) = run.rounds(run.start(), validate=False)
    counts = np.bincount(split.train.rows, minlength=len(split.vocabulary))
    alike = np.abs(counts - people) <= people / 5
    found = exposures(split, run, run.item_vectors(state))[alike]
    return {"items": int(alike.sum()), "mean": float(found.mean()), "most": float(found.max())} if len(found) else {}
