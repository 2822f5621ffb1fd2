"""Does context pay? Requests in the held-out part, each ranked in its own context and without one.

A request is one person in one context, and asks for all that the person met in it. Every variant ranks the same items
for the same requests, from the same item vectors and user embeddings:

* without: p alone;
* own: p in the request's own context;
* another's: p in the context of another request, drawn at random. What it gains over `without` is no gain by context.

How much the vectors weigh is chosen on valid; 0 is among the choices, and would say that context does not pay. Where
the split has a log, `without` and `own` are also ranked with the prior of what was met lately (`training.recency`),
chosen on valid too: a weekday may stand in for a date, and that prior knows the date better.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.machine import provenance
from feature_store.arrays import Float32Array, Int32Array, Int64Array
from feature_store.errors import BadInput
from feature_store.fold_in import fold_in_many
from feature_store.query_tower import QueryTower
from training.context import TrainedContext
from training.context_meetings import Meetings
from training.context_rows import context_rows
from training.context_settings import ContextSettings
from training.evaluation import Scorer, evaluate, fold_in_scorer
from training.histories import Histories
from training.recency import RecencyTerms, choose_recency, log_of, popularity_prior
from training.run import TrainingRun, prepare
from training.settings import TrainingSettings
from training.split import Split

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
METRICS = ("recall@20", "ndcg@20")


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """What is asked of a held-out part.

    clients: who asks, shape (requests,).
    contexts: places among the values, -1 for none, shape (requests, features).
    wanted: the items to find, by request.
    """

    clients: Int64Array
    contexts: Int32Array
    wanted: Histories


def requests_of(part: Histories, meetings: Meetings, settings: ContextSettings, most: int) -> Requests:
    """The requests of a part: its entries by person and context; at most so many, drawn once and for all."""
    clients = np.repeat(np.arange(len(part)), part.lengths)
    rows = context_rows(settings, part.rows, meetings, {})
    pairs, of = np.unique(np.column_stack([clients, rows]), axis=0, return_inverse=True)
    order = np.argsort(of.ravel(), kind="stable")
    lengths = np.bincount(of.ravel(), minlength=len(pairs))
    wanted = Histories(part.rows[order], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    chosen = np.arange(len(pairs))
    if most < len(pairs):
        chosen = np.sort(np.random.default_rng(0).choice(len(pairs), most, replace=False))
    return Requests(
        pairs[chosen, 0].astype(np.int64),
        pairs[chosen, 1:].astype(np.int32),
        Histories.of(wanted[int(request)] for request in chosen),
    )


def measure_context(
    split: Split,
    settings: TrainingSettings,
    seeds: Sequence[int],
    report: Callable[[str], None],
    most: int = 20_000,
) -> dict[str, Any]:
    """The figures as one JSON object.

    Args:
        split: with times; `split.judged` is trained on anew for the test, where there is one.
        settings: of the runs, their context included; the seed in it is not used.
        seeds: one run for each; the first one's validation chooses the weight.
        report: is told what is being done.
        most: judge at most so many requests.

    Raises:
        BadInput: the settings have no context, or the split does not tell when items were met.
    """
    final, met_at = split.judged, split.judged.meetings
    if not settings.context.features or split.meetings is None or met_at is None:
        raise BadInput("to measure context takes settings with features, and a split that tells when items were met")
    report("without and with context on valid")
    run, vectors, trained = trained_on(split, settings, seeds[0])
    asked = requests_of(split.valid, split.meetings.valid, settings.context, most)
    met = split.met_before_valid
    terms = None
    if split.log is not None:
        terms = choose_recency(fold_in_scorer(vectors, split.train, run.fold_in), split)
    nothing = np.zeros(len(split.vocabulary), np.float32)
    priors: list[Float32Array] = [nothing, *([] if terms is None else [_prior(split, terms)])]
    tried = [
        {weight: judge(run, vectors, trained.query_tower, asked, met, weight, prior) for weight in WEIGHTS}
        for prior in priors
    ]
    best = [_best(of) for of in tried]
    judged = [weight or 1.0 for weight in best]
    asked = requests_of(final.test, met_at.test, settings.context, most)
    met = final.met_before_test
    others = np.random.default_rng(1).permutation(len(asked.clients))
    elsewhere = Requests(asked.clients, asked.contexts[others], asked.wanted)
    names = ["without", "own", "another's", *(["recency", "recency + own"] if terms else [])]
    variants: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    losses: list[float] = []
    for seed in seeds:
        report(f"seed {seed}, test")
        run, vectors, trained = trained_on(final, settings, seed)
        losses = [*trained.losses]
        tower = trained.query_tower
        variants["without"].append(judge(run, vectors, tower, asked, met, 0.0, nothing))
        variants["own"].append(judge(run, vectors, tower, asked, met, judged[0], nothing))
        variants["another's"].append(judge(run, vectors, tower, elsewhere, met, judged[0], nothing))
        if terms is not None:
            prior = _prior(final, terms)
            variants["recency"].append(judge(run, vectors, tower, asked, met, 0.0, prior))
            variants["recency + own"].append(judge(run, vectors, tower, asked, met, judged[1], prior))
    return {
        "benchmark": "context",
        **provenance(),
        "settings": settings.model_dump(mode="json", exclude={"seed"}),
        "requests": len(asked.clients),
        "people": len(np.unique(asked.clients)),
        "uplink_bytes_per_client": trained.uplink_bytes_per_client,
        "losses": losses,
        "valid": [{f"{weight:g}": figures for weight, figures in of.items()} for of in tried],
        "chosen_weight": best,
        "judged_weight": judged,
        "recency": None if terms is None else {"popular": terms.popular, "popular_days": terms.popular_days},
        "test": {name: _summary(figures) for name, figures in variants.items()},
    }


def judge(
    run: TrainingRun,
    vectors: Float32Array,
    tower: QueryTower,
    asked: Requests,
    met: Sequence[Histories],
    weight: float,
    prior: Float32Array,
) -> dict[str, float]:
    """Recall and NDCG, means over the requests.

    Args:
        run: whose train part is folded in.
        vectors: Q.
        tower: the vectors of the context, before weighing.
        asked: the requests.
        met: by client, what is left out of the ranking.
        weight: of those vectors.
        prior: added to the scores of all requests, shape (items,).
    """
    left_out = [Histories.of(part[client] for client in asked.clients) for part in met]
    score = _scorer(run, vectors, tower, asked, weight, prior)
    quality = evaluate(score, len(vectors), asked.wanted, left_out).figures()
    return {name: quality[name] for name in METRICS}


def _best(tried: dict[float, dict[str, float]]) -> float:
    return max(tried, key=lambda weight: tried[weight]["ndcg@20"])


def _prior(split: Split, terms: RecencyTerms) -> Float32Array:
    prior: Float32Array = np.float32(terms.popular) * popularity_prior(
        log_of(split), len(split.vocabulary), terms.popular_days
    )
    return prior


def _scorer(
    run: TrainingRun,
    vectors: Float32Array,
    tower: QueryTower,
    asked: Requests,
    weight: float,
    prior: Float32Array,
) -> Scorer:
    gram = vectors.T @ vectors
    values = run.settings.context.values(())
    table = np.vstack([*(tower.vectors[value] for value in values), np.zeros(tower.dim, np.float32)])  # -1 is the last

    def score(requests: Int64Array) -> Float32Array:
        histories = [run.split.train[int(asked.clients[request])] for request in requests]
        embeddings = fold_in_many(vectors, gram, histories, run.fold_in)
        shift = table[asked.contexts[requests]].sum(axis=1)
        scores: Float32Array = (embeddings + np.float32(weight) * shift) @ vectors.T + prior
        return scores

    return score


def trained_on(split: Split, settings: TrainingSettings, seed: int) -> tuple[TrainingRun, Float32Array, TrainedContext]:
    """The run with that seed, its Q, and what context adds; raises `BadInput` where the settings have no context."""
    run = prepare(split, settings.model_copy(update={"seed": seed}))
    state = run.start()
    for after, _ in run.rounds(state, validate=False):
        state = after
    trained = run.context(state, {})
    if trained is None:
        raise BadInput("the settings have no context")
    return run, run.item_vectors(state), trained


def _summary(figures: Sequence[dict[str, float]]) -> dict[str, Any]:
    return {
        "mean": {name: mean(of[name] for of in figures) for name in METRICS},
        "spread": {name: stdev(of[name] for of in figures) if len(figures) > 1 else 0.0 for name in METRICS},
    }
