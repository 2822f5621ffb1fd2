"""Blend: a person of whom few items are known is recommended partly what is popular.

A user embedding from n items is an estimate whose noise falls like 1/√n, and below about four items what is popular
ranks better than it does. The score of item i is the mean of both, weighted by how much each is to be trusted
(shrinkage towards what holds for everybody; Efron and Morris 1975 is the idea, √n and the number k are measured):

    score_i = (√n · p·q_i + k · pop_i) / (√n + k)          pop_i = c_i / people

pop_i, the share of people who met item i, is the best constant guess of whether somebody will. The one number k is
chosen on validation data when training publishes, and belongs to the checkpoint (docs/cold-start.md has the figures).
Without any known item the score is pop_i itself.

Apart from that, what is popular is ranked high by any score that was fitted to who met what. A discount takes some of
that back from everybody's scores: p·q_i counts pop_i^(−b) times. Above 0 it shows more of the catalogue, and up to
about 0.1 it finds more of what people of short histories want.

It stays one product of two vectors, each one number longer than before: (q_i, pop_i) with the shares of both on the
query's side. So an index of vectors retrieves by it as it does without.
"""

import math
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Float64Array, Int64Array
from feature_store.errors import BadInput

BLENDED_UP_TO = 10
"""Known items, beyond which a score is the person's own. On validation the blend gains at 10 items, and not at 20."""


@dataclass(frozen=True, slots=True)
class BlendSettings:
    """How popularity enters. Both numbers belong to the checkpoint.

    weight: k >= 0; 0 blends nobody.
    people: whom the checkpoint's item counts are counted among, at least 1.
    discount: b, from 0 to 1.
    """

    weight: float
    people: int
    discount: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < np.inf or self.people < 1 or not 0 <= self.discount <= 1:
            raise BadInput(
                f"a blend takes a finite weight >= 0, at least one person and a discount from 0 to 1; "
                f"got weight={self.weight}, people={self.people}, discount={self.discount}"
            )


UNBLENDED = BlendSettings(weight=0.0, people=1)
"""Popularity never enters."""


def popular_share(known: int, blend: BlendSettings) -> float:
    """k/(√n + k), the share of popularity in the score of somebody with n known items; 0 beyond `BLENDED_UP_TO`.

    >>> [round(popular_share(n, BlendSettings(weight=0.5, people=100)), 2) for n in (0, 1, 4, 10, 11)]
    [1.0, 0.33, 0.2, 0.14, 0.0]
    """
    if blend.weight == 0 or known > BLENDED_UP_TO:
        return 0.0
    return blend.weight / (math.sqrt(known) + blend.weight)


def popularity(item_counts: Float32Array, blend: BlendSettings) -> Float32Array:
    """The share of people who met each item, shape (items,)."""
    return item_counts / np.float32(blend.people)


def discounts(item_counts: Float32Array, blend: BlendSettings) -> Float32Array:
    """What each item's own scores are multiplied by, pop_i^(−b), shape (items,); an item of nobody counts as of one.

    >>> discounts(np.array([0, 1, 50, 100], np.float32), BlendSettings(0.0, people=100, discount=0.5)).round(2).tolist()
    [10.0, 10.0, 1.409999966621399, 1.0]
    """
    shares = np.clip(popularity(item_counts, blend), np.float32(1 / blend.people), 1)
    result: Float32Array = np.power(shares, np.float32(-blend.discount))
    return result


def blended_scores(
    scores: Float32Array, item_counts: Float32Array, known: Int64Array, blend: BlendSettings
) -> Float32Array:
    """The scores of many people at once.

    Args:
        scores: p·q_i pop_i^(−b), shape (users, items): discounted already.
        item_counts: people who met each item, shape (items,).
        known: items known of each person, shape (users,).
        blend: the checkpoint's.

    Returns:
        shape (users, items).
    """
    shares = _shares(known, blend).astype(np.float32)[:, None]
    blended: Float32Array = (1 - shares) * scores + shares * popularity(item_counts, blend)
    return blended


def blended_items(item_vectors: Float32Array, item_counts: Float32Array, blend: BlendSettings) -> Float32Array:
    """(q_i pop_i^(−b), pop_i) of every item, shape (items, dim + 1)."""
    return np.column_stack([item_vectors * discounts(item_counts, blend)[:, None], popularity(item_counts, blend)])


def blended_query(vector: Float32Array, known: int | None, blend: BlendSettings) -> Float32Array:
    """What meets `blended_items` as the score above, shape (dim + 1,).

    vector: the user embedding p, shape (dim,).
    known: the items it was folded in from; None where nobody says how many, and then nothing is blended.
    """
    share = 0.0 if known is None else popular_share(known, blend)
    query = np.empty(len(vector) + 1, np.float32)
    np.multiply(vector, np.float32(1 - share), out=query[:-1])
    query[-1] = share
    return query


def _shares(known: Int64Array, blend: BlendSettings) -> Float64Array:
    different, at = np.unique(known, return_inverse=True)
    return np.array([popular_share(one, blend) for one in different.tolist()], np.float64)[at]
