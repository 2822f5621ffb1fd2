"""Does the social graph pay? The lists that a server gives, without the graph and with it, for the same people.

The model is trained without the graph. What the graph may do is in the settings of one source: the share of each list
that is the graph's, and what friends' meetings weigh in personal scores (`serving.sources.graph`). Both are chosen on
valid, together, by the mean NDCG@20 over how many items are known of who asks; then test judges. What is known of
friends is their train part.

Lists come from outside: who serves is not known here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from statistics import mean
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from benchmarks.machine import provenance
from feature_store.arrays import Float64Array, Int32Array
from feature_store.checkpoint import CheckpointDraft
from feature_store.row_ranges import one_catalogue
from feature_store.social_graph import Tie
from training.blend_choice import known_part
from training.histories import Histories
from training.interactions import Interactions
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

KNOWN = (1, 3, 10)
"""How many items are known of who asks; after them, all of the train part."""

VERTICAL = "social"
_LENGTH = 20


class GraphChoice(NamedTuple):
    """What the graph may do; the first of each says nothing.

    share: of each list, that is the graph's at least.
    weight: of friends in personal scores.
    """

    share: float = 0.0
    weight: float = 0.0


SHARES, WEIGHTS = (0.0, 0.1, 0.2), (0.0, 0.2, 0.5, 1.0)
ALONE = GraphChoice()


class Asking(NamedTuple):
    """One person's question: rows of the items known of the person, and of those that must not come back besides."""

    user_id: str
    known: Int32Array
    left_out: Int32Array


Lists: TypeAlias = Callable[[Asking, GraphChoice, int], Sequence[int]]
"""From a question, what the graph may do, and a length, to the rows of that many items, best first."""

Serving: TypeAlias = Callable[[CheckpointDraft, Split, Sequence[Tie]], Lists]
"""From a model, what people met (the train part) and their ties to the lists that a server gives."""


def split_at_random(interactions: Interactions, seed: int, valid: float = 0.1, test: float = 0.2) -> Split:
    """Of each person's distinct items a share drawn by the seed is valid, one is test, the rest train.

    For what has no times: as the published 70/10/20 splits, whose people are no longer those of a graph.
    """
    parts: list[list[Int32Array]] = [[], [], []]
    by_person = np.split(
        interactions.items[np.argsort(interactions.users, kind="stable")],
        np.cumsum(np.bincount(interactions.users, minlength=len(interactions.user_ids)))[:-1],
    )
    for person, rows in enumerate(by_person):
        mixed = np.random.default_rng([seed, person]).permutation(np.unique(rows))
        tested, tuned = int(test * len(mixed)), int(valid * len(mixed))
        cut = np.split(mixed, [len(mixed) - tested - tuned, len(mixed) - tested])
        for part, one in zip(parts, cut, strict=True):
            part.append(one)
    train, tuning, final = map(Histories.of, parts)
    return Split(interactions.vocabulary, interactions.user_ids, train, tuning, final)


def measure_social(
    interactions: Interactions,
    ties: Sequence[Tie],
    settings: TrainingSettings,
    seeds: Sequence[int],
    serving: Serving,
    report: Callable[[str], None],
    most: int = 300,
) -> dict[str, Any]:
    """Quality without the graph and with it, by how much is known of who asks, as one JSON object.

    Args:
        interactions: who met what.
        ties: between these people.
        settings: of the runs; the seed in it is not used.
        seeds: for each, a split and a run of its own; the first one's valid part chooses.
        serving: gives the lists.
        report: is told what is being done.
        most: choose by at most so many people.
    """
    chosen = ALONE
    tried: dict[GraphChoice, float] = {}
    tables: list[dict[str, dict[str, Judged]]] = []
    for seed in seeds:
        report(f"seed {seed}: training without the graph")
        split = split_at_random(interactions, seed)
        lists = serving(_trained(split, settings.model_copy(update={"seed": seed})), split, ties)
        if not tables:
            report("choosing the graph's share and weight on valid")
            some = _drawn(split.valid, most)
            tried = {
                choice: mean(_ndcg(lists, choice, split, split.valid, some, known) for known in (*KNOWN, None))
                for choice in map(GraphChoice._make, product(SHARES, WEIGHTS))
            }
            chosen = max(tried, key=tried.__getitem__)
        report(f"seed {seed}: test")
        everybody = _drawn(split.test, len(split.test))
        tables.append(
            {
                str(known or "all"): {
                    who: _judged(lists, choice, split, split.test, everybody, known)
                    for who, choice in (("alone", ALONE), ("graph", chosen))
                }
                for known in (*KNOWN, None)
            }
        )
    return {
        "benchmark": "social",
        **provenance(),
        "data": {"users": len(interactions.user_ids), "items": len(interactions.vocabulary), "ties": len(ties)},
        "settings": settings.model_dump(mode="json", exclude={"seed"}),
        "seeds": list(seeds),
        "chosen": chosen._asdict(),
        "valid_ndcg@20": [{**choice._asdict(), "ndcg@20": ndcg} for choice, ndcg in tried.items()],
        "test": {known: _compared([table[known] for table in tables]) for known in tables[0]},
    }


def _trained(split: Split, settings: TrainingSettings) -> CheckpointDraft:
    run = prepare(split, settings)
    state = run.start()
    for after, _ in run.rounds(state, validate=settings.patience > 0):
        state = after
    state = state.chosen()
    return run.draft(state, one_catalogue(VERTICAL, len(split.vocabulary)), run.item_item(state))


def _drawn(part: Histories, most: int) -> Int32Array:
    """At most so many of the people with items there, drawn once and for all by their number."""
    people = np.flatnonzero(part.lengths).astype(np.int32)
    if len(people) > most:
        people = np.sort(np.random.default_rng(0).choice(people, most, replace=False))
    return people


class Judged(NamedTuple):
    """Of each person, shape (people,); see `training.evaluation.Quality`."""

    recall: Float64Array
    ndcg: Float64Array


def _judged(
    lists: Lists, choice: GraphChoice, split: Split, held_out: Histories, people: Int32Array, known: int | None
) -> Judged:
    """Whoever asks has met `known` of the train items; the others, and valid before test, are left out all the same."""
    of = split.train if known is None else known_part(split.train, known)
    discounts = 1 / np.log2(np.arange(2, _LENGTH + 2))
    recalls, ndcgs = [], []
    for person in people.tolist():
        before = split.train[person] if held_out is split.valid else _before_test(split, person)
        rows = lists(Asking(split.user_ids[person], of[person], before), choice, _LENGTH)
        wanted = held_out[person]
        is_hit = np.isin(rows, wanted)
        recalls.append(is_hit.sum() / len(wanted))
        ndcgs.append(is_hit @ discounts[: len(is_hit)] / discounts[: len(wanted)].sum())
    return Judged(np.array(recalls), np.array(ndcgs))


def _before_test(split: Split, person: int) -> Int32Array:
    return np.concatenate([split.train[person], split.valid[person]])


def _ndcg(
    lists: Lists, choice: GraphChoice, split: Split, held_out: Histories, people: Int32Array, known: int | None
) -> float:
    return float(_judged(lists, choice, split, held_out, people, known).ndcg.mean())


def _compared(seeds: Sequence[Mapping[str, Judged]]) -> dict[str, Any]:
    """Means over people and seeds, and of the differences, with the standard error of their mean over people."""
    result: dict[str, Any] = {}
    for who in ("alone", "graph"):
        result[who] = {
            "recall@20": mean(float(one[who].recall.mean()) for one in seeds),
            "ndcg@20": mean(float(one[who].ndcg.mean()) for one in seeds),
        }
    for name in ("recall", "ndcg"):
        gains = np.concatenate([getattr(one["graph"], name) - getattr(one["alone"], name) for one in seeds])
        result[f"{name}_gain"] = {
            "mean": float(gains.mean()),
            "standard_error": float(gains.std(ddof=1)) / math.sqrt(len(gains)),
        }
    return result
