"""Verticals together: does a person's history in two domains help in a third, where nothing is known of the person?

One model over all domains, with one user embedding, is held against one model for each domain. A fifth of the people
is cold in the domain in question: all that they did there before the judged time is hidden, and what they did in the
other domains is not. A model of that domain alone has nothing on them and can give what is popular there, no more.
The split is by time, the same for everybody; the judged items are those that a person first met (as far as anybody
was told) after it. Settings are chosen on validation, for each side its own, from grids of the same size.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import provenance
from benchmarks.market import Market, Parts, hide
from benchmarks.peers import as_matrix, popularity
from feature_store.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from feature_store.vocabulary import ItemVocabulary
from training.evaluation import Scorer, evaluate
from training.histories import Histories
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split


class Weights(NamedTuple):
    """What the loss is tuned by. unmet: α times the number of items; regularization: λ."""

    unmet: float
    regularization: float


GRID = tuple(Weights(unmet, ridge) for unmet in (360.0, 720.0, 1440.0) for ridge in (0.01, 0.02, 0.04))

_NDCG = "ndcg@20"
_FIGURES = ("recall@20", _NDCG)


def measure_verticals(
    market: Market,
    settings: TrainingSettings,
    seeds: Sequence[int],
    report: Callable[[str], None],
    grid: Sequence[Weights] = GRID,
) -> dict[str, Any]:
    """For each domain: people cold in it and the others, by the joint model, the domain's own, and popularity.

    Args:
        market: see there.
        settings: of the runs; the weights of the loss and the seed in it are not used.
        seeds: for each, other people are cold, and both models are trained.
        report: is told what is being done.
        grid: weights to choose from, with the first seed.
    """
    domains = {}
    for domain in market.catalogues:
        report(f"{domain}: {len(grid)} settings on valid")
        parts = hide(market, domain, seeds[0])
        everything = np.arange(len(market.interactions.vocabulary), dtype=np.int32)
        together = max(grid, key=lambda weights: _tuned(parts, everything, settings, weights, seeds[0]))
        apart = max(grid, key=lambda weights: _tuned(parts, parts.rows, settings, weights, seeds[0]))
        runs = []
        for seed in seeds:
            report(f"{domain}: seed {seed}")
            parts = hide(market, domain, seed)
            scorers = {
                "together": _trained(parts, everything, settings, together, seed),
                "apart": _trained(parts, parts.rows, settings, apart, seed),
                "popular": _popular(parts),
            }
            runs.append(
                {
                    group: {who: _judged(parts, parts.final, score, people, 2) for who, score in scorers.items()}
                    for group, people in (("cold", parts.cold), ("warm", ~parts.cold))
                }
            )
        domains[domain] = {
            "items": len(parts.rows),
            "chosen": {"together": together._asdict(), "apart": apart._asdict()},
            **{group: _summary([run[group] for run in runs]) for group in ("cold", "warm")},
        }
    return {
        "benchmark": "verticals",
        **provenance(),
        "settings": settings.model_dump(mode="json", exclude={"seed", "alpha", "regularization"}),
        "data": {"users": len(market.interactions.user_ids), "interactions": len(market.interactions)},
        "seeds": list(seeds),
        "domains": domains,
    }


def _tuned(parts: Parts, rows: Int32Array, settings: TrainingSettings, weights: Weights, seed: int) -> float:
    """NDCG@20 on the domain's validation items: a mean of cold and warm for all domains, of warm for one alone."""
    score = _trained(parts, rows, settings, weights, seed)
    groups = [~parts.cold] if len(rows) == len(parts.rows) else [~parts.cold, parts.cold]
    return mean(_judged(parts, parts.tuning, score, people, 1)[_NDCG] for people in groups)


def _trained(parts: Parts, rows: Int32Array, settings: TrainingSettings, weights: Weights, seed: int) -> Scorer:
    """Train on those rows alone, and score the domain's items; people without history there get what is popular."""
    train = _within(parts.final.train, rows)
    empty = Histories.of([()] * len(train))
    split = Split(
        ItemVocabulary(parts.final.vocabulary.item_ids[row] for row in rows), parts.final.user_ids, train, empty, empty
    )
    loss = {"alpha": min(1.0, weights.unmet / len(rows)), "regularization": weights.regularization}
    run = prepare(split, settings.model_copy(update={**loss, "seed": seed}))
    state = run.start()
    for after, _ in run.rounds(state, validate=False):
        state = after
    personal = run.scorer(state)
    popular = _popular(parts)

    def score(clients: Int64Array) -> Float32Array:
        scores = np.full((len(clients), len(parts.final.vocabulary)), -np.inf, dtype=np.float32)
        scores[:, rows] = personal(clients)
        unknown = train.lengths[clients] == 0
        scores[unknown] = popular(clients[unknown])
        return scores

    return score


def _popular(parts: Parts) -> Scorer:
    return popularity(as_matrix(parts.final.train, len(parts.final.vocabulary)), {}, 0)


def _judged(parts: Parts, split: Split, score: Scorer, people: BoolArray, part: int) -> dict[str, float]:
    """Figures of those people on the domain's items of the validation (1) or test (2) part."""
    others = np.ones(len(split.vocabulary), dtype=np.bool_)
    others[parts.rows] = False

    def of_domain(clients: Int64Array) -> Float32Array:
        return np.where(others, np.float32(-np.inf), score(clients))

    held, met = (split.valid, split.met_before_valid) if part == 1 else (split.test, split.met_before_test)
    wanted = Histories.of(rows[~others[rows]] if people[person] else rows[:0] for person, rows in enumerate(held))
    figures = evaluate(of_domain, len(split.vocabulary), wanted, met).figures()
    return {name: figures[name] for name in (*_FIGURES, "users")}


def _within(histories: Histories, rows: Int32Array) -> Histories:
    """The histories with those rows alone, numbered by their place among them."""
    place = np.full(int(max(rows.max(), histories.rows.max(initial=0))) + 1, -1, dtype=np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    return Histories.of(found[found >= 0] for found in (place[history] for history in histories))


def _summary(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Mean and spread over the seeds (standard deviation; 0 for one), and the ratios of NDCG and recall."""

    def over_seeds(values: Sequence[float]) -> dict[str, float]:
        return {"mean": mean(values), "spread": stdev(values) if len(values) > 1 else 0.0}

    figures = {who: {name: over_seeds([run[who][name] for run in runs]) for name in _FIGURES} for who in runs[0]}
    ratios = {
        peer: {name: over_seeds([run["together"][name] / run[peer][name] for run in runs]) for name in _FIGURES}
        for peer in ("apart", "popular")
    }
    return {"users": [run["together"]["users"] for run in runs], **figures, "together_over": ratios}
