"""Quality by group: who is served badly, by how much people have done, and by how well known the items are.

A mean over everybody hides both: people with a short history, and items that few have met.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float64Array, Int64Array
from training.evaluation import Ranked, Scorer, rank_everybody
from training.histories import Histories

_GROUPS = 4


@dataclass(frozen=True, slots=True)
class PeopleGroup:
    """People with `least` to `most` train items; the figures are means over them, as in `Quality`."""

    least: int
    most: int
    people: int
    recall: float
    ndcg: float
    hr_10: float


@dataclass(frozen=True, slots=True)
class ItemGroup:
    """Items that `least` to `most` people have met in train.

    items: how many of them the catalogue has.
    held_out: how often one of them was held out, of the people judged.
    recall: the share of those that was found among its person's top 20.
    recommended: share of all recommended places that these items take.
    coverage: share of these items that is recommended to anybody.
    """

    least: int
    most: int
    items: int
    held_out: int
    recall: float
    recommended: float
    coverage: float


@dataclass(frozen=True, slots=True)
class QualityGroups:
    """Both views, each from the least to the most; groups without people or items are left out."""

    people: tuple[PeopleGroup, ...]
    items: tuple[ItemGroup, ...]


def quality_by_group(
    score: Scorer, train: Histories, items: int, held_out: Histories, met: Sequence[Histories], most: int = 0
) -> QualityGroups:
    """Judge a scorer group by group.

    People are cut at the quartiles of their train items; items where the train interactions, from the least to the
    best known item, come to a quarter, a half and three quarters. Equals stay together, so groups can be uneven.
    Items that nobody met in train are a group of their own.

    Args:
        score: gives the scores of all items.
        train: what activity and popularity are counted in.
        items: how many items there are.
        held_out: the items to find, by client.
        met: the parts whose items are left out of each person's ranking.
        most: judge at most this many people; 0 judges everybody.

    Raises:
        BadInput: nobody has held-out items.
    """
    ranked = list(rank_everybody(score, items, held_out, met, most))
    clients = np.concatenate([batch.clients for batch in ranked])
    counts = np.bincount(train.rows, minlength=items)
    return QualityGroups(
        _people_groups(train.lengths[clients], ranked), _item_groups(counts, clients, held_out, ranked)
    )


def _people_groups(lengths: Int64Array, ranked: Sequence[Ranked]) -> tuple[PeopleGroup, ...]:
    recall = np.concatenate([batch.recall for batch in ranked])
    ndcg = np.concatenate([batch.ndcg for batch in ranked])
    hr_10 = np.concatenate([batch.hr_10 for batch in ranked])
    group_of = _quarters(lengths, np.ones(len(lengths)))
    groups = (np.flatnonzero(group_of == group) for group in range(_GROUPS))
    return tuple(
        PeopleGroup(
            least=int(lengths[people].min()),
            most=int(lengths[people].max()),
            people=len(people),
            recall=float(recall[people].mean()),
            ndcg=float(ndcg[people].mean()),
            hr_10=float(hr_10[people].mean()),
        )
        for people in groups
        if people.size
    )


def _item_groups(
    counts: Int64Array, clients: Int64Array, held_out: Histories, ranked: Sequence[Ranked]
) -> tuple[ItemGroup, ...]:
    items = len(counts)
    wanted = np.bincount(np.concatenate([held_out[client] for client in clients]), minlength=items)
    found = np.bincount(np.concatenate([batch.top[batch.is_hit] for batch in ranked]), minlength=items)
    shown = np.bincount(np.concatenate([batch.top[batch.is_there] for batch in ranked]), minlength=items)
    group_of = np.where(counts == 0, -1, _quarters(counts, counts.astype(np.float64)))
    groups = (np.flatnonzero(group_of == group) for group in range(-1, _GROUPS))
    return tuple(
        ItemGroup(
            least=int(counts[rows].min()),
            most=int(counts[rows].max()),
            items=len(rows),
            held_out=int(wanted[rows].sum()),
            recall=float(found[rows].sum() / max(1, wanted[rows].sum())),
            recommended=float(shown[rows].sum() / max(1, shown.sum())),
            coverage=float((shown[rows] > 0).mean()),
        )
        for rows in groups
        if rows.size
    )


def _quarters(values: Int64Array, weights: Float64Array) -> Int64Array:
    """A group, 0 to 3, for each value: cut where the weights, from the least value on, reach quarters of their sum.

    Equal values are in one group, that of the cut which falls on them.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    cuts = np.arange(1, _GROUPS) / _GROUPS * reached[-1]
    at = np.searchsorted(reached, cuts - 1e-9 * reached[-1])  # 3/4 of a sum need not be a float that the sum meets
    group: Int64Array = np.searchsorted(values[order][at], values, side="left").astype(np.int64)
    return group
