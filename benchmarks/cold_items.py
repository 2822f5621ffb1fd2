"""New items: how well a model ranks items that nobody had met when it was trained.

The tower knows the catalogue of all items, and is trained by what people did with the others. People are folded in
from those, and the new items are ranked among themselves alone: whether a new item should stand before one that is
known to be liked is not a question of content, and is a placement's to answer.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.category_popularity import at_random, category_popularity, category_rate
from benchmarks.cold_split import ColdPart, ColdSplit, split_by_item
from benchmarks.machine import provenance
from feature_store.arrays import Float32Array, Int64Array
from feature_store.fold_in import fold_in_many
from training.evaluation import Scorer, evaluate
from training.histories import Histories
from training.item_features import ItemFeatures
from training.run import TrainingRun, prepare
from training.settings import TrainingSettings
from training.split import Split

Figures = dict[str, float]
PEERS = ("random", "category-popularity", "category-rate")


def measure_cold_items(
    split: Split,
    categories: Sequence[Sequence[str]],
    features: ItemFeatures,
    candidates: Sequence[TrainingSettings],
    *,
    seeds: Sequence[int],
    least: int,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Rank new items, beside random and category-popularity, for each seed.

    Each seed draws new items of its own, and is that of training. Of the candidates the one with the best Recall@20
    on the validation items of the first seed is taken; test items choose nothing.

    Args:
        split: its train part is what people did; the others are not used.
        categories: of each item; category-popularity goes by them.
        features: of the items, for the tower.
        candidates: settings to choose from; one alone is taken as it is.
        seeds: see above.
        least: people who must have met an item for it to be drawn.
        report: is told what is being done.
    """
    tried = []
    first = split_by_item(split.train, len(split.vocabulary), seeds[0], least)
    for number, candidate in enumerate(candidates if len(candidates) > 1 else (), 1):
        report(f"candidate {number} of {len(candidates)}, on the validation items of seed {seeds[0]}")
        run, vectors = _trained(split, first, features, candidate, seeds[0])
        tried.append(_quality(cold_scorer(run, vectors, first.valid), first.valid)["recall@20"])
    chosen = candidates[int(np.argmax(tried)) if tried else 0]
    parts: dict[str, dict[str, list[Figures]]] = {"valid": {}, "test": {}}
    for seed in seeds:
        report(f"seed {seed}")
        cold = split_by_item(split.train, len(split.vocabulary), seed, least)
        run, vectors = _trained(split, cold, features, chosen, seed)
        for name, part in (("valid", cold.valid), ("test", cold.test)):
            scorers = {
                "tower": cold_scorer(run, vectors, part),
                "random": at_random(part.items, seed),
                "category-popularity": category_popularity(cold.train, categories, part.items, seed),
                "category-rate": category_rate(cold.train, categories, part.items, seed),
            }
            for who, scorer in scorers.items():
                parts[name].setdefault(who, []).append(_quality(scorer, part))
    test = {who: _summary(found) for who, found in parts["test"].items()}
    recall = {who: found["mean"]["recall@20"] for who, found in test.items()}
    return {
        "benchmark": "cold-items",
        **provenance(),
        "data": {
            "users": len(split.user_ids),
            "items": len(split.vocabulary),
            "train": len(first.train.rows),
            "valid_items": len(first.valid.items),
            "test_items": len(first.test.items),
            "valid": len(first.valid.met.rows),
            "test": len(first.test.met.rows),
            "least_people": least,
        },
        "features": {
            **{column: len(values.names) for column, values in features.named.items()},
            "numbers": features.numeric.shape[1],
            "text": features.text.shape[1],
        },
        "candidates": [
            {"settings": _shown(candidate), "valid recall@20": value}
            for candidate, value in zip(candidates, tried, strict=False)  # one alone was not tried
        ],
        "settings": _shown(chosen),
        "seeds": list(seeds),
        "test": test,
        "valid": {who: _summary(found) for who, found in parts["valid"].items()},
        "ratios": {peer: recall["tower"] / recall[peer] for peer in PEERS if recall[peer]},
    }


def cold_scorer(run: TrainingRun, vectors: Float32Array, part: ColdPart) -> Scorer:
    """Scores of new items for people folded in from what they are trained on; a column for each of `part.items`."""
    gram = vectors.T @ vectors

    def score(clients: Int64Array) -> Float32Array:
        histories = [run.split.train[client] for client in clients]
        scores: Float32Array = fold_in_many(vectors, gram, histories, run.fold_in) @ vectors[part.items].T
        return scores

    return score


def _trained(
    split: Split, cold: ColdSplit, features: ItemFeatures, settings: TrainingSettings, seed: int
) -> tuple[TrainingRun, Float32Array]:
    """A run without the new items, and all item vectors it ended with."""
    nothing = Histories.of([()] * len(split.user_ids))
    warm = Split(split.vocabulary, split.user_ids, cold.train, nothing, nothing)
    run = prepare(warm, settings.model_copy(update={"seed": seed}), features)
    state = run.start()
    for after, _ in run.rounds(state, validate=False):
        state = after
    return run, run.item_vectors(state)


def _quality(scorer: Scorer, part: ColdPart) -> Figures:
    return evaluate(scorer, len(part.items), part.met, []).figures()


def _shown(settings: TrainingSettings) -> dict[str, Any]:
    return settings.model_dump(
        mode="json", include={"dim", "alpha", "regularization", "rounds", "cohort", "tower", "curvature"}
    )


def _summary(found: Sequence[Mapping[str, float]]) -> dict[str, Figures]:
    """Mean over the seeds, and their spread (standard deviation; 0 for one seed)."""
    names = list(found[0])
    return {
        "mean": {name: mean(figures[name] for figures in found) for name in names},
        "spread": {name: stdev(figures[name] for figures in found) if len(found) > 1 else 0.0 for name in names},
    }
