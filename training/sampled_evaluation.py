"""Sampled evaluation: one held-out item of each person ranked among a few others, as many papers report it.

Only for comparison with them: a ranking among 99 others does not even keep the order of two recommenders (Krichene
and Rendle 2020). Everything here is tuned and judged by full ranking else (`training.evaluation`).
"""

from dataclasses import asdict, dataclass

import numpy as np

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput
from training.evaluation import Scorer
from training.histories import Histories

CUTOFF = 10
_PEOPLE = 512  # scored at a time: 8 MiB of scores for 4,000 items


@dataclass(frozen=True, slots=True)
class SampledQuality:
    """Means over the people with a held-out item (He et al. 2017, section 4.1).

    hr_10: share of people whose held-out item is among the first 10.
    ndcg_10: 1/log₂(rank + 1) where it is, rank from 1, else 0.
    users: how many people were judged.
    """

    hr_10: float
    ndcg_10: float
    users: int

    def figures(self) -> dict[str, float]:
        """By the names that the command line uses; they say that the ranking was a sampled one."""
        names = {"hr_10": "sampled_hr@10", "ndcg_10": "sampled_ndcg@10"}
        return {names.get(name, name): value for name, value in asdict(self).items()}


def evaluate_sampled(score: Scorer, held_out: Histories, negatives: Histories) -> SampledQuality:
    """Judge a scorer.

    Args:
        score: gives the scores of all items.
        held_out: one item to find for each client, or none.
        negatives: the items that it is ranked among; those that are the held-out item itself are passed over, as
            in the code of the paper. Published lists hold some.

    Raises:
        BadInput: nobody has a held-out item, somebody has more than one, or the two are of other people.
    """
    if len(held_out) != len(negatives):
        raise BadInput(f"there are held-out items of {len(held_out)} clients and negatives of {len(negatives)}")
    if held_out.lengths.max(initial=0) > 1:
        raise BadInput(f"a sampled ranking finds one held-out item a person; somebody has {held_out.lengths.max()}")
    clients = np.flatnonzero(held_out.lengths)
    if not clients.size:
        raise BadInput("nobody has held-out items; there is nothing to evaluate")
    ranks = np.empty(len(clients))
    for start in range(0, len(clients), _PEOPLE):
        batch = clients[start : start + _PEOPLE]
        for row, (client, scores) in enumerate(zip(batch, score(batch), strict=True)):
            ranks[start + row] = rank_among(scores, int(held_out[client][0]), negatives[client])
    found = ranks <= CUTOFF
    gains = np.where(found, 1 / np.log2(ranks + 1), 0)
    return SampledQuality(float(found.mean()), float(gains.mean()), len(clients))


def rank_among(scores: Float32Array, item: int, others: Int32Array) -> int:
    """The rank, from 1, of an item among others by score. Ties count against it, and so does a score that is no number.

    >>> rank_among(np.array([0.5, 0.7, 0.5, 0.1]), 0, np.array([1, 2, 3, 0]))
    3
    """
    rivals = others[others != item]
    return 1 + int((~(scores[rivals] < scores[item])).sum())
