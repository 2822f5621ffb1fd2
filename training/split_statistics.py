"""Statistics of a split: how much data there is, and how unevenly it lies."""

from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Int64Array
from training.split import Split


@dataclass(frozen=True, slots=True)
class Bin:
    """How many people or items have `least` to `most` interactions."""

    least: int
    most: int
    number: int


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """What a split is like.

    train, valid, test: interactions of each part; of test nothing else is ever looked at here.
    density: share of all pairs of person and item that is in train.
    top_tenth: share of the train interactions that the best-known tenth of the items has.
    unmet_items: items of the vocabulary that nobody met in train.
    people_by_history: people by their number of train items.
    items_by_people: items by the number of people who met them in train.
    """

    people: int
    items: int
    train: int
    valid: int
    test: int
    density: float
    top_tenth: float
    unmet_items: int
    people_by_history: tuple[Bin, ...]
    items_by_people: tuple[Bin, ...]


def split_statistics(split: Split) -> SplitStatistics:
    """Count a split.

    Raises:
        BadInput: never; a split without people or items cannot be made.
    """
    items, people = len(split.vocabulary), len(split.user_ids)
    met_by = np.bincount(split.train.rows, minlength=items)
    best_known = np.sort(met_by)[::-1][: max(1, round(items / 10))]
    train = len(split.train.rows)
    return SplitStatistics(
        people=people,
        items=items,
        train=train,
        valid=len(split.valid.rows),
        test=len(split.test.rows),
        density=train / (people * items),
        top_tenth=float(best_known.sum() / max(1, train)),
        unmet_items=int((met_by == 0).sum()),
        people_by_history=_doubling_bins(split.train.lengths),
        items_by_people=_doubling_bins(met_by),
    )


def _doubling_bins(values: Int64Array) -> tuple[Bin, ...]:
    """Counts of 0, 1, 2-3, 4-7, 8-15, ...: each as wide as all before it, as such numbers spread over magnitudes."""
    bins = np.frexp(values.astype(np.float64))[1]  # 0 -> 0, 1 -> 1, 2 and 3 -> 2, 4 to 7 -> 3
    numbers = np.bincount(bins)
    first = int(bins.min()) if bins.size else 0
    return tuple(
        Bin(least=(1 << n) >> 1, most=(1 << n) - 1, number=int(number))
        for n, number in enumerate(numbers)
        if n >= first
    )
