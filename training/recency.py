"""Recency: what was met lately, by everybody and by oneself, added to the scores of a model that knows no time.

    score_ui = p_u·q_i + w log(1 + n_i)/log(1 + max n) + v n_ui/(1 + n_ui)

n_i is how often item i was met, n_ui how often by person u, and a meeting counts 2^(−age/half-life). The n_i are sums
with one term a client, which add securely; the n_ui never leave the device, which is where they are added.
The weights follow validation, as those of the loss do; both are 0 where nothing is gained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from feature_store.arrays import Float32Array, Int64Array
from feature_store.errors import BadInput
from training.evaluation import Scorer, evaluate
from training.histories import Histories
from training.split import Split
from training.split_log import DAY, MeetingLog, recent_counts

# What `choose_recency` chooses from. Days: a news item lives for hours, a product for weeks.
POPULAR = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 6.4)
POPULAR_DAYS = (1 / 48, 1 / 24, 4 / 24, 1.0, 7.0, 30.0)
OWN = (-1.0, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
OWN_DAYS = (7.0, 30.0, 90.0, 365.0)


@dataclass(frozen=True, slots=True)
class RecencyTerms:
    """How much what was met lately counts.

    popular: w ≥ 0, of what everybody met.
    popular_days: half-life of a meeting in n_i, in days.
    own: v, of what the person met; negative where people seldom come back to an item.
    own_days: half-life of a meeting in n_ui, in days.
    """

    popular: float = 0.0
    popular_days: float = 7.0
    own: float = 0.0
    own_days: float = 90.0

    def __post_init__(self) -> None:
        if not (0 <= self.popular < np.inf and np.isfinite(self.own)):
            raise BadInput(f"the weights of recency are finite, and popular >= 0; got {self.popular} and {self.own}")


def with_recency(score: Scorer, log: MeetingLog, items: int, terms: RecencyTerms) -> Scorer:
    """The scorer plus the two terms.

    Args:
        score: gives the scores of all items.
        log: the meetings of the train part.
        items: how many items there are.
        terms: see there.
    """
    prior = np.float32(terms.popular) * popularity_prior(log, items, terms.popular_days)
    order = np.argsort(log.clients, kind="stable")
    clients, rows, weights = log.clients[order], log.items[order], log.weights(terms.own_days * DAY)[order]

    def own(client: int) -> Float32Array:
        mine = slice(*np.searchsorted(clients, [client, client + 1]))
        counts = np.bincount(rows[mine], weights[mine], minlength=items).astype(np.float32)
        return np.float32(terms.own) * counts / (1 + counts)

    def blended(batch: Int64Array) -> Float32Array:
        scores: Float32Array = score(batch) + prior
        if terms.own:
            for row, client in enumerate(batch):
                scores[row] += own(client)
        return scores

    return blended


def popularity_prior(log: MeetingLog, items: int, half_life_days: float) -> Float32Array:
    """log(1 + n_i), divided by the largest of them so that it lies in 0..1; shape (items,)."""
    prior: Float32Array = np.log1p(recent_counts(log, items, half_life_days * DAY))
    return prior / np.float32(max(float(prior.max(initial=0)), float(np.finfo(np.float32).tiny)))


def choose_recency(score: Scorer, split: Split, most: int = 2000) -> RecencyTerms:
    """The terms with the best NDCG@20 on valid: first what everybody met, then, where met items are ranked, one's own.

    Args:
        score: of the model that they are added to; gives the scores of all items.
        split: at points of time.
        most: judge at most this many people, drawn once and for all; their scores are held in memory.

    Raises:
        BadInput: the split has no log, or nobody has validation items.
    """
    log, items = log_of(split), len(split.vocabulary)
    clients = np.flatnonzero(split.valid.lengths)
    if most < len(clients):
        clients = np.sort(np.random.default_rng(0).choice(clients, most, replace=False))
    scores = score(clients)
    judged = np.zeros(len(split.valid), dtype=np.bool_)
    judged[clients] = True
    valid = Histories.of(rows if kept else () for rows, kept in zip(split.valid, judged, strict=True))

    def remembered(batch: Int64Array) -> Float32Array:
        of_batch: Float32Array = scores[np.searchsorted(clients, batch)]
        return of_batch

    def ndcg(terms: RecencyTerms) -> float:
        scorer = with_recency(remembered, log, items, terms)
        return evaluate(scorer, items, valid, split.met_before_valid).ndcg

    best = max((RecencyTerms(w, days) for w, days in _grid(POPULAR, POPULAR_DAYS)), key=ndcg)
    if not split.ranks_met:
        return best
    return max((replace(best, own=v, own_days=days) for v, days in _grid(OWN, OWN_DAYS)), key=ndcg)


def log_of(split: Split) -> MeetingLog:
    """The log of a split at points of time; raises `BadInput` where the split is another."""
    if split.log is None:
        raise BadInput("recency needs to know when items were met; only a split at points of time tells")
    return split.log


def _grid(weights: Sequence[float], days: Sequence[float]) -> list[tuple[float, float]]:
    """Each weight with each half-life, 0 once: its half-life says nothing."""
    return [(0.0, days[0]), *product((weight for weight in weights if weight), days)]
