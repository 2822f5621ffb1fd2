"""Evaluation: rank all items for each person, leave out what the person has met, and count the held-out ones.

Full ranking, never a sample of candidates: sampled metrics do not even keep the order of two recommenders
(Krichene and Rendle 2020).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings, fold_in_many
from feature_store.item_item import ItemItem
from training.histories import Histories

Scorer = Callable[[Int64Array], Float32Array]
"""From client numbers, shape (n,), to the scores of all items, shape (n, items); higher ranks first."""

CUTOFF = 20
_SCORES = 1 << 22  # scores held at a time: 16 MiB


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the people with held-out items.

    recall: found among the top 20, of all that were held out.
    ndcg: normalised discounted cumulative gain at 20 (Järvelin and Kekäläinen 2002), gain 1 for each held-out item;
        the ideal list has min(20, held out) of them.
    hr_10: share of people with at least one held-out item among their top 10.
    coverage: share of all items that stand in somebody's top 20.
    users: how many people were judged.
    """

    recall: float
    ndcg: float
    hr_10: float
    coverage: float
    users: int

    def figures(self) -> dict[str, float]:
        """By the names that the command line and manifests use."""
        names = {"recall": "recall@20", "ndcg": "ndcg@20", "hr_10": "hr@10", "coverage": "coverage@20"}
        return {names.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """What some people would be recommended, and which of it they were after.

    clients: their numbers, shape (n,).
    wanted: how many held-out items each has, at least 1, shape (n,).
    top: rows of the items recommended, best first, shape (n, 20 or fewer).
    is_there: whether there is an item at that place; a person who has met nearly all is recommended fewer.
    is_hit: whether it is one of the held-out items.
    """

    clients: Int64Array
    wanted: Int64Array
    top: Int32Array
    is_there: BoolArray
    is_hit: BoolArray

    @property
    def recall(self) -> Float64Array:
        """Of each person, shape (n,); see `Quality`."""
        found: Float64Array = self.is_hit.sum(axis=1) / self.wanted
        return found

    @property
    def ndcg(self) -> Float64Array:
        """Of each person, shape (n,); see `Quality`."""
        discounts = 1 / np.log2(np.arange(2, CUTOFF + 2))
        gains = self.is_hit @ discounts[: self.is_hit.shape[1]]
        share: Float64Array = gains / np.cumsum(discounts)[np.minimum(self.wanted, CUTOFF) - 1]
        return share

    @property
    def hr_10(self) -> BoolArray:
        """Whether a held-out item is among the top 10, of each person, shape (n,)."""
        is_hit: BoolArray = np.logical_or.reduce(self.is_hit[:, :10], axis=1)
        return is_hit


def evaluate(score: Scorer, items: int, held_out: Histories, met: Sequence[Histories], most: int = 0) -> Quality:
    """Judge a scorer; arguments and errors are those of `rank_everybody`."""
    recalls, ndcgs, hits_10 = [], [], []
    covered = np.zeros(items, dtype=np.bool_)
    for ranked in rank_everybody(score, items, held_out, met, most):
        covered[ranked.top[ranked.is_there]] = True
        recalls.append(ranked.recall)
        ndcgs.append(ranked.ndcg)
        hits_10.append(ranked.hr_10)
    return Quality(
        recall=float(np.concatenate(recalls).mean()),
        ndcg=float(np.concatenate(ndcgs).mean()),
        hr_10=float(np.concatenate(hits_10).mean()),
        coverage=float(covered.mean()),
        users=sum(map(len, recalls)),
    )


def rank_everybody(
    score: Scorer, items: int, held_out: Histories, met: Sequence[Histories], most: int = 0
) -> Iterator[Ranked]:
    """Rank all items for each person who has held-out ones, some people at a time.

    Args:
        score: gives the scores of all items.
        items: how many items there are.
        held_out: the items to find, by client.
        met: the parts whose items are left out of each person's ranking, such as train and valid.
        most: judge at most this many people, drawn once and for all by their number; 0 judges everybody.

    Raises:
        BadInput: nobody has held-out items.
    """
    clients = np.flatnonzero(held_out.lengths)
    if not clients.size:
        raise BadInput("nobody has held-out items; there is nothing to evaluate")
    if 0 < most < len(clients):
        clients = np.sort(np.random.default_rng(0).choice(clients, most, replace=False))
    size = max(1, _SCORES // items)
    for batch in (clients[start : start + size] for start in range(0, len(clients), size)):
        scores = np.array(score(batch), dtype=np.float32)
        for row, client in enumerate(batch):
            for part in met:
                scores[row, part[client]] = -np.inf
        top = top_rows(scores, CUTOFF)
        is_there = np.isfinite(np.take_along_axis(scores, top, axis=1))
        is_hit = _is_held_out(top, batch, held_out, items) & is_there
        yield Ranked(batch, held_out.lengths[batch], top, is_there, is_hit)


def fold_in_scorer(
    item_vectors: Float32Array,
    met: Histories,
    settings: FoldInSettings,
    item_item: ItemItem | None = None,
    item_discounts: Float32Array | None = None,
) -> Scorer:
    """Scores as serving gives them to people of whom enough is known.

    Args:
        item_vectors: Q, shape (items, dim).
        met: the items known of each person, which are folded in; the product with all items is the score.
        settings: the weights of the loss.
        item_item: weights beside that product.
        item_discounts: what each item's scores are multiplied by, shape (items,).
    """
    gram = item_vectors.T @ item_vectors

    def score(clients: Int64Array) -> Float32Array:
        histories = [met[client] for client in clients]
        scores: Float32Array = fold_in_many(item_vectors, gram, histories, settings) @ item_vectors.T
        if item_item is not None:
            scores[:, item_item.rows] += item_item.added(histories)
        if item_discounts is not None:
            scores *= item_discounts
        return scores

    return score


def top_rows(scores: Float32Array, k: int) -> Int32Array:
    """Rows of the k highest scores of each line, best first; shape (lines, min(k, items)).

    Among those chosen, equal scores go by lower row; which of several equal to the k-th is chosen is not said.
    """
    k = min(k, scores.shape[1])
    top = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1).astype(np.int32)


def _is_held_out(top: Int32Array, batch: Int64Array, held_out: Histories, items: int) -> BoolArray:
    """Whether each ranked item is one of its person's held-out ones, shape as `top`."""
    wanted = np.concatenate([slot * items + held_out[c].astype(np.int64) for slot, c in enumerate(batch)])
    return np.isin(np.arange(len(batch))[:, None] * items + top, wanted)
