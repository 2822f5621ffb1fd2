"""Ranking quality: federated training beside the centralised peers, on one split, in one run."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.federated_choice import Changes, choose_settings
from benchmarks.machine import peak_memory_megabytes, provenance
from benchmarks.peers import Peer, PeerResult, judge, peers
from benchmarks.temporal_peers import judge_with_recency, temporal_peers
from feature_store.arrays import Float32Array
from feature_store.errors import BadInput
from training.canary import Canary, canary
from training.cohort import largest_cohort, population
from training.evaluation import Quality, Scorer, evaluate
from training.histories import Histories
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.recency import RecencyTerms, choose_recency, log_of, with_recency
from training.recommender import make_algorithm
from training.run import TrainingRun, prepare
from training.settings import TrainingSettings
from training.split import Split

MILESTONES = (10, 20)


def measure_quality(
    split: Split,
    settings: TrainingSettings,
    seeds: Sequence[int],
    report: Callable[[str], None],
    features: ItemFeatures | None = None,
    grid: Sequence[Changes] = (),
) -> dict[str, Any]:
    """Train federated with each seed, fit and tune the peers, and give all figures as one JSON object.

    Every figure is on the test part, which neither has seen. Federated settings are those given, changed as is best on
    valid where there is a grid; the peers are tuned on the validation part. On a split at points of time there are
    peers that know the time, and to ours and theirs the terms of `training.recency` are added, chosen on valid too.

    Args:
        split: the data.
        settings: of the federated runs; the seed in it is not used.
        seeds: one federated run and one fit of each peer for each.
        report: is told what is being done.
        features: of the items, for the item tower.
        grid: settings to choose from on valid, with the first seed.
    """
    items, runs = len(split.vocabulary), []
    if grid:
        settings = choose_settings(split, settings.model_copy(update={"seed": seeds[0]}), grid, report, features)
    final = split.judged
    for seed in seeds:
        report(f"federated, seed {seed}")
        runs.append(_federated(prepare(final, settings.model_copy(update={"seed": seed}), features)))
    memory = peak_memory_megabytes()
    recency = None
    if split.log is not None:
        report("federated + recency")
        tried = _federated(prepare(split, settings.model_copy(update={"seed": seeds[0]}), features))
        terms = choose_recency(tried["scorer"], split)
        recency = _recency([run["scorer"] for run in runs], terms, final)
    results = _peers(split, settings.dim, seeds, report)
    report("canary")
    federated = _summary([run["test"] for run in runs])
    best = recency or federated
    clients = len(population(final.train))
    cohort = largest_cohort(clients, settings.cohort)
    return {
        "benchmark": "quality",
        **provenance(),
        "data": {
            "users": len(split.user_ids),
            "items": items,
            "train": len(final.train.rows),
            "valid": len(split.valid.rows),
            "test": len(final.test.rows),
            "repeats": split.repeats,
            "ranks_met": split.ranks_met,
            "out_of_reach": asdict(final.out_of_reach),
        },
        "federated": {
            "settings": settings.model_dump(mode="json", exclude={"seed"}),
            "clients": clients,
            "cohort": cohort,
            "cohort_share": cohort / clients,
            "rounds": [run["rounds"] for run in runs],
            "uplink_bytes_per_client_and_round": runs[0]["uplink_bytes"],
            "uplink_bytes_per_client": mean(
                run["uplink_bytes"] * run["participations"] + run["uplink_once"] for run in runs
            ),
            "training_seconds": [run["seconds"] for run in runs],
            "peak_memory_mb": memory,
            **federated,
            "after_rounds": {
                str(done): _summary([run["milestones"][done] for run in runs])["mean"]
                for done in MILESTONES
                if all(done in run["milestones"] for run in runs)
            },
        },
        **({"recency": recency} if recency else {}),
        "peers": {result.name: _peer_figures(result) for result in results},
        "peers_left_out": {
            peer.name: f"takes at most {peer.most_items} items"
            for peer in peers(settings.dim)
            if peer.most_items < items
        },
        "ratios": {
            result.name: {
                name: best["mean"][name] / value
                for name, value in _summary(result.qualities)["mean"].items()
                if value and name != "users"
            }
            for result in results
        },
        "canary": _canary_figures(final, settings, runs[0]["item_vectors"]),
    }


def _peers(split: Split, dim: int, seeds: Sequence[int], report: Callable[[str], None]) -> list[PeerResult]:
    """Every peer that can take so many items, and on a split at points of time those that know the time."""
    items = len(split.vocabulary)
    results = []
    timeless = peers(dim)
    for peer in [*timeless, *(temporal_peers(split) if split.log else ())]:
        if items > peer.most_items:
            report(f"{peer.name}: left out, as it cannot take {items} items")
            continue
        report(f"{peer.name}: {len(peer.grid)} settings on valid, then {len(seeds)} seeds")
        result = judge(peer, split, seeds)
        results.append(result)
        if split.log and peer in timeless and _is_personal(peer):
            report(f"{peer.name} + recency")
            results.append(judge_with_recency(peer, result, split, seeds))
    return results


def _is_personal(peer: Peer) -> bool:
    return peer.name != "popularity"


def _recency(scorers: Sequence[Scorer], terms: RecencyTerms, split: Split) -> dict[str, Any]:
    """Test quality with the terms of recency added."""
    log, items = log_of(split), len(split.vocabulary)
    qualities = [
        evaluate(with_recency(score, log, items, terms), items, split.test, split.met_before_test) for score in scorers
    ]
    return {"terms": asdict(terms), **_summary(qualities)}


def _federated(run: TrainingRun) -> dict[str, Any]:
    seconds, milestones, participations = 0.0, {}, 0.0
    clients = len(population(run.split.train))
    state, uplink = run.start(), 0
    for after, report in run.rounds(state, validate=run.settings.patience > 0):
        state = after
        seconds += report.seconds
        participations += report.cohort / clients
        uplink = report.uplink_bytes_per_client
        if report.round_number in MILESTONES:
            milestones[report.round_number] = run.test(state)
    collected = run.item_item(state)
    return {
        "item_vectors": run.item_vectors(state),
        "scorer": run.scorer(state, collected),
        "rounds": state.round_number,
        "seconds": seconds,
        "uplink_bytes": uplink,
        "uplink_once": collected.uplink_bytes_per_client if collected else 0,
        "participations": participations,
        "test": run.test(state, collected),
        "milestones": milestones,
    }


def canary_of(split: Split, settings: TrainingSettings, item_vectors: Float32Array) -> Canary:
    """The canary of training with these settings, from these item vectors on."""
    items = len(split.vocabulary)
    tower = ItemTower(ItemFeatures.of_categories([()] * items), settings.dim)
    return canary(make_algorithm(tower, 1, settings), item_vectors, settings.fold_in(items), split)


def _canary_figures(split: Split, settings: TrainingSettings, item_vectors: Float32Array) -> dict[str, Any]:
    """The canary, or why there is none: small catalogues have too few items that somebody has not met."""
    try:
        return asdict(canary_of(_unmet_targets(split), settings, item_vectors))
    except BadInput as error:
        return {"left_out": str(error)}


def _unmet_targets(split: Split) -> Split:
    """The split without test items that stand in train too: training pulls those, which is no peeking."""
    unmet = (rows[~np.isin(rows, met)] for rows, met in zip(split.test, split.train, strict=True))
    return replace(split, test=Histories.of(unmet)) if split.ranks_met else split


def _summary(qualities: Sequence[Quality]) -> dict[str, dict[str, float]]:
    """Mean over the seeds, and their spread (standard deviation; 0 for one seed)."""
    figures = [quality.figures() for quality in qualities]
    return {
        "mean": {name: mean(f[name] for f in figures) for name in figures[0]},
        "spread": {name: stdev(f[name] for f in figures) if len(figures) > 1 else 0.0 for name in figures[0]},
    }


def _peer_figures(result: PeerResult) -> dict[str, Any]:
    return {"settings": result.settings, **_summary(result.qualities)}
