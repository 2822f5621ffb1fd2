"""The published leave-one-out test with 99 negatives: federated training beside its centralised peers, in one run."""

from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any

from benchmarks.federated_choice import Changes, changed
from benchmarks.machine import provenance
from benchmarks.peers import Peer, peers
from training.cohort import largest_cohort, population
from training.evaluation import Scorer
from training.run import prepare
from training.sampled_evaluation import SampledQuality, evaluate_sampled
from training.settings import TrainingSettings
from training.split import Split
from training.split_leave_one_out import LeaveOneOut

GRID: tuple[Changes, ...] = (
    {"unmet_weight": 720.0, "regularization": 0.003},
    {"unmet_weight": 720.0, "regularization": 0.006},
    {"unmet_weight": 1080.0, "regularization": 0.004},
    {"unmet_weight": 1080.0, "regularization": 0.006},
)


def measure_leave_one_out(
    data: LeaveOneOut,
    settings: TrainingSettings,
    seeds: Sequence[int],
    report: Callable[[str], None],
    grid: Sequence[Changes] = GRID,
) -> dict[str, Any]:
    """Choose settings by HR@10 on the validation made from the train part, train on all of it, and judge on the test.

    Args:
        data: the test and its validation.
        settings: of the federated runs, changed as the grid says.
        seeds: one run and one fit of each peer for each; the first one chooses.
        report: is told what is being done.
        grid: the settings to choose from; a grid of one is taken as it is.
    """
    items = len(data.final.vocabulary)

    def federated(split: Split, changes: Changes, seed: int) -> Scorer:
        run = prepare(split, changed(settings, {**changes, "seed": seed}, items))
        state = run.start()
        for after, _ in run.rounds(state, validate=False):
            state = after
        return run.scorer(state, run.item_item(state))

    def of_peer(peer: Peer) -> Callable[[Split, Changes, int], Scorer]:
        return lambda split, changes, seed: peer.fit(split, dict(changes), seed)

    clients = len(population(data.final.train))
    return {
        "benchmark": "leave-one-out",
        **provenance(),
        "data": {"users": len(data.final.user_ids), "items": items, "train": len(data.final.train.rows)},
        "federated": {
            "settings": settings.model_dump(mode="json", exclude={"seed"}),
            "clients": clients,
            "cohort": largest_cohort(clients, settings.cohort),
            **_judged("federated", federated, grid, data, seeds, report),
        },
        "peers": {
            peer.name: _judged(peer.name, of_peer(peer), peer.grid, data, seeds, report)
            for peer in peers(settings.dim)
            if items <= peer.most_items
        },
    }


def _judged(
    name: str,
    fit: Callable[[Split, Changes, int], Scorer],
    grid: Sequence[Changes],
    data: LeaveOneOut,
    seeds: Sequence[int],
    report: Callable[[str], None],
) -> dict[str, Any]:
    """What was chosen, how it validated, and the test quality of each seed, as mean and spread."""

    def on_valid(changes: Changes) -> SampledQuality:
        quality = evaluate_sampled(fit(data.tuning, changes, seeds[0]), data.tuning.valid, data.valid_negatives)
        report(f"{name} on valid, {dict(changes)}: HR@10 {quality.hr_10:.4f}, NDCG@10 {quality.ndcg_10:.4f}")
        return quality

    tried = [(changes, on_valid(changes)) for changes in grid] if len(grid) > 1 else []
    best = max(tried, key=lambda one: one[1].hr_10)[0] if tried else grid[0]
    figures = []
    for seed in seeds:
        report(f"{name}, seed {seed}")
        quality = evaluate_sampled(fit(data.final, best, seed), data.final.test, data.test_negatives)
        figures.append(quality.figures())
    return {
        "chosen": dict(best),
        "valid": [{**changes, **quality.figures()} for changes, quality in tried],
        "mean": {key: mean(f[key] for f in figures) for key in figures[0]},
        "spread": {key: stdev(f[key] for f in figures) if len(figures) > 1 else 0.0 for key in figures[0]},
    }
