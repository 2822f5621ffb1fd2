"""New users: people who never took part in training, by how many of their items are known.

A fifth of the people is left out of training whole: they are in no cohort, and nothing is chosen by them. Of each,
n train items drawn at random are folded in on the frozen item vectors, and the test items are looked for, in two ways:

* with the rest of the person's train and valid items left out of the ranking. All n are then asked the same question,
  which is also that of the quality tables;
* as served: the rest is unknown to the server, so it is ranked, and stands in the way of the test items. All figures
  are lower for it, popularity's too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import provenance
from feature_store.arrays import BoolArray
from feature_store.blend import UNBLENDED, BlendSettings
from feature_store.errors import BadInput
from training.blend_choice import blended_scorer, choose_blend, known_part
from training.client_update import ITEM_COUNTS
from training.cohort import population
from training.evaluation import Scorer, evaluate
from training.histories import Histories
from training.item_features import ItemFeatures
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

KNOWN = (1, 3, 5, 10, 20, 50)
"""How many items are known; after them, all."""

HELD_SHARE = 0.2
RANKINGS = ("rest_left_out", "as_served")


class Parts(NamedTuple):
    """One split as two: of the people who train, and of those who are new afterwards."""

    trained: Split
    new: Split


def measure_new_users(
    split: Split,
    settings: TrainingSettings,
    seeds: Sequence[int],
    report: Callable[[str], None],
    features: ItemFeatures | None = None,
) -> dict[str, Any]:
    """The table of new users as one JSON object: personal, blended and popular, by ranking and by items known.

    Args:
        split: the data.
        settings: of the runs; the seed in it is not used.
        seeds: for each, other people are new, and one run is trained without them.
        report: is told what is being done.
        features: of the items, for the item tower.
    """
    weights, tables = [], []
    for seed in seeds:
        report(f"seed {seed}: training without a fifth of the people")
        parts = hold_people_out(split, seed)
        run = prepare(parts.trained, settings.model_copy(update={"seed": seed}), features)
        state = run.start()
        for after, _ in run.rounds(state, validate=settings.patience > 0):
            state = after
        state = state.chosen()
        vectors, counts = run.item_vectors(state), state.statistics[ITEM_COUNTS]
        blend = choose_blend(
            vectors, counts, BlendSettings(0.0, len(population(parts.trained.train))), run.fold_in, parts.trained
        )
        weights.append(blend.weight)
        report(f"seed {seed}: folding in")
        tables.append(_table(parts.new, partial(blended_scorer, vectors, counts, run.fold_in), blend, seed))
    rows = {ranking: _rows([table[ranking] for table in tables]) for ranking in RANKINGS}
    return {
        "benchmark": "new-users",
        **provenance(),
        "data": {"users": len(split.user_ids), "items": len(split.vocabulary), "held_share": HELD_SHARE},
        "settings": settings.model_dump(mode="json", exclude={"seed"}),
        "seeds": list(seeds),
        "popularity_weights": weights,
        **rows,
        "below_popularity": [
            f"{ranking}, {known} known"
            for ranking, by_known in rows.items()
            for known, who in by_known.items()
            if who["blended"]["ndcg@20"]["mean"] < who["popular"]["ndcg@20"]["mean"]
        ],
    }


def hold_people_out(split: Split, seed: int, share: float = HELD_SHARE) -> Parts:
    """Take a share of those who have test items out of training, drawn by the seed; `BadInput` where that is nobody."""
    eligible = np.flatnonzero((split.train.lengths > 0) & (split.test.lengths > 0))
    size = int(share * len(eligible))
    if not 0 < size < len(eligible):
        raise BadInput(f"a share of {share} of the {len(eligible)} people with train and test items is nobody, or all")
    new = np.zeros(len(split.user_ids), dtype=np.bool_)
    new[np.random.default_rng([seed]).choice(eligible, size, replace=False)] = True
    return Parts(_of_people(split, ~new), _of_people(split, new))


def _of_people(split: Split, chosen: BoolArray) -> Split:
    def part(histories: Histories) -> Histories:
        return Histories.of(rows if chosen[u] else rows[:0] for u, rows in enumerate(histories))

    return replace(split, train=part(split.train), valid=part(split.valid), test=part(split.test))


def _table(
    new: Split, scorer: Callable[[Histories, BlendSettings], Scorer], blend: BlendSettings, seed: int
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Ranking -> items known -> who -> figures, for one seed."""
    only_popular = BlendSettings(1.0, blend.people)
    nothing = Histories.of([()] * len(new.user_ids))
    table: dict[str, dict[str, dict[str, dict[str, float]]]] = {ranking: {} for ranking in RANKINGS}
    for known in (*KNOWN, None):
        met = new.train if known is None else known_part(new.train, known, seed)
        scorers = {
            "personal": scorer(met, UNBLENDED),
            "blended": scorer(met, blend),
            "popular": scorer(nothing, only_popular),
        }
        for ranking, left_out in (("rest_left_out", new.met_before_test), ("as_served", (met,))):
            table[ranking][str(known or "all")] = {
                who: {name: figures[name] for name in ("recall@20", "ndcg@20")}
                for who, score in scorers.items()
                for figures in [evaluate(score, len(new.vocabulary), new.test, left_out).figures()]
            }
    return table


def _rows(tables: Sequence[Mapping[str, Mapping[str, Mapping[str, float]]]]) -> dict[str, Any]:
    """Mean and spread (standard deviation; 0 for one seed) over the seeds."""

    def over_seeds(known: str, who: str, name: str) -> dict[str, float]:
        values = [table[known][who][name] for table in tables]
        return {"mean": mean(values), "spread": stdev(values) if len(values) > 1 else 0.0}

    return {
        known: {who: {name: over_seeds(known, who, name) for name in figures} for who, figures in by_who.items()}
        for known, by_who in tables[0].items()
    }
