"""The rows of the tables: federated algorithms and centralised peers, each with the grid that it is tuned over.

A federated row is a name and what it changes in the settings; another algorithm is another line here.
"""

import json
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

from benchmarks.federated_choice import LOSS_GRID, Changes, changed
from benchmarks.peers import Fit, peers
from benchmarks.temporal_peers import temporal_peers
from training.cohort import population
from training.evaluation import Scorer
from training.recency import RecencyTerms, choose_recency, log_of, with_recency
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split


class Fitted(NamedTuple):
    """A recommender, and what making it took.

    rounds, uplink_bytes: of federated training; the bytes are those that one client sends in all of it.
    """

    score: Scorer
    rounds: int | None = None
    uplink_bytes: float | None = None


class Row(NamedTuple):
    """A row of the tables.

    name: what the page calls it.
    grid: what it is chosen from on valid.
    fit: from a split, one of the grid and a seed to the recommender.
    fingerprint: what else its figures follow from, for the cache.
    """

    name: str
    grid: Sequence[Changes]
    fit: Callable[[Split, Changes, int], Fitted]
    fingerprint: Any = None


def _averaging(server: Changes, **fedavg: Any) -> Changes:
    parts = {f"fedavg.{name}": value for name, value in fedavg.items()}
    return {"algorithm": "fedavg", "server": dict(server), **parts}


def _fedavg(rates: Sequence[float], **fedavg: Any) -> list[Changes]:
    servers = [{"optimizer": "fedavg", "learning_rate": rate} for rate in rates]
    return [_averaging(server, client_learning_rate=local, **fedavg) for server, local in product(servers, (0.1, 0.5))]


def _adaptive(optimizer: str) -> list[Changes]:
    return [_averaging({"optimizer": optimizer, "learning_rate": rate}) for rate in (0.1, 0.3, 1.0)]


_RATES = (1.0, 10.0, 100.0)  # of the server: the mean of a cohort moves an item that few of it have met very little

_WITH_ITEM_ITEM = [
    {"unmet_weight": unmet_weight, "regularization": ridge, "popularity_discount": discount, "item_item.items": 4000}
    for unmet_weight, ridge, discount in product((720.0, 1440.0), (0.006, 0.009, 0.012), (0.0, 0.08))
]

FEDERATED: dict[str, Sequence[Changes]] = {
    "curvature": LOSS_GRID,
    "curvature + item-item": _WITH_ITEM_ITEM,
    "FedAvg": _fedavg(_RATES),
    "FedAvg, mixing 0.5": [{**changes, "server": {**changes["server"], "mixing": 0.5}} for changes in _fedavg(_RATES)],
    "FedAvgM": [_averaging({"optimizer": "fedavgm", "learning_rate": rate}) for rate in _RATES],
    "FedAdam": _adaptive("fedadam"),
    "FedYogi": _adaptive("fedyogi"),
    "FedProx": [{**changes, "fedavg.proximal": mu} for mu in (0.01, 0.1) for changes in _fedavg((10.0, 100.0))],
    "FedAvg, softmax": _fedavg(_RATES, loss="softmax"),
    "FedAvg, sampled softmax": _fedavg(_RATES, loss="sampled_softmax"),
    "FedAvg, logistic": _fedavg(_RATES, loss="logistic"),
}
"""Grids of the federated rows; those that do not name the weights of the loss keep the defaults."""


def rows(split: Split, settings: TrainingSettings) -> list[Row]:
    """All rows for a data set: the federated ones, then the peers that can take its catalogue.

    split: that on which settings are tried.

    On a split at points of time there are the peers that know the time, and curvature with the terms of recency.
    """
    base = settings.model_dump(mode="json", exclude={"seed"})
    federated = [Row(name, grid, _federated(settings), base) for name, grid in FEDERATED.items()]
    if split.log is not None:
        federated.insert(2, Row("curvature + recency", LOSS_GRID, _with_recency(_federated(settings), split), base))
    centralised = [*peers(settings.dim), *(temporal_peers(split) if split.log else ())]
    return [
        *federated,
        *(
            Row(p.name, p.grid, _peer(p.fit), settings.dim)
            for p in centralised
            if len(split.vocabulary) <= p.most_items
        ),
    ]


def _federated(settings: TrainingSettings) -> Callable[[Split, Changes, int], Fitted]:
    def fit(split: Split, changes: Changes, seed: int) -> Fitted:
        run = prepare(split, changed(settings, {**changes, "seed": seed}, len(split.vocabulary)))
        clients = len(population(split.train))
        state, uplink = run.start(), 0.0
        for after, report in run.rounds(state, validate=False):
            state = after
            uplink += report.uplink_bytes_per_client * report.cohort / clients
        collected = run.item_item(state)
        once = collected.uplink_bytes_per_client if collected else 0
        return Fitted(run.scorer(state, collected), state.round_number, uplink + once)

    return fit


def _with_recency(
    plain: Callable[[Split, Changes, int], Fitted], tuning: Split
) -> Callable[[Split, Changes, int], Fitted]:
    """The terms for some changes are chosen once, on the valid part of `tuning`, with the first seed asked for."""
    chosen: dict[str, RecencyTerms] = {}

    def fit(split: Split, changes: Changes, seed: int) -> Fitted:
        fitted = plain(split, changes, seed)
        key = json.dumps(changes, sort_keys=True)
        if key not in chosen:
            on_tuning = fitted if split is tuning else plain(tuning, changes, seed)
            chosen[key] = choose_recency(on_tuning.score, tuning)
        terms = chosen[key]
        return fitted._replace(score=with_recency(fitted.score, log_of(split), len(split.vocabulary), terms))

    return fit


def _peer(fit: Fit) -> Callable[[Split, Changes, int], Fitted]:
    return lambda split, changes, seed: Fitted(fit(split, dict(changes), seed))
