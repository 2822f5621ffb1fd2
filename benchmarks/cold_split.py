"""Histories divided by item, so that some items are new: nobody who is trained on has met them."""

from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Int32Array, Int64Array
from feature_store.errors import BadInput
from training.histories import Histories

SHARE = 5  # one item in so many is new to the test, and one in so many of the rest to the validation


@dataclass(frozen=True, slots=True, eq=False)
class ColdPart:
    """New items, and what people did with them.

    items: their rows, ascending.
    met: of each person the positions in `items`.
    """

    items: Int32Array
    met: Histories


@dataclass(frozen=True, slots=True, eq=False)
class ColdSplit:
    """What people did with all but the new items; client u of each part is the same person."""

    train: Histories
    valid: ColdPart
    test: ColdPart


def split_by_item(met: Histories, items: int, seed: int, least: int = 1) -> ColdSplit:
    """Draw a fifth of the items for the test, and a fifth of the others for validation.

    Args:
        met: what people did; distinct rows.
        items: how many there are.
        seed: of the draw.
        least: people who must have met an item for it to be drawn; items of fewer stay in train.

    Raises:
        BadInput: a part would have no items.
    """
    counts = np.bincount(met.rows, minlength=items)
    drawn = np.random.default_rng([seed, items]).permutation(np.flatnonzero(counts >= least))
    test, rest = np.split(drawn, [len(drawn) // SHARE])
    valid = rest[: len(rest) // SHARE]
    if not (len(valid) and len(test)):
        raise BadInput(f"{len(drawn)} items that at least {least} people met leave no fifth of four fifths")
    return ColdSplit(
        _without(met, np.concatenate([valid, test]), items), _part(met, valid, items), _part(met, test, items)
    )


def _without(met: Histories, rows: Int64Array, items: int) -> Histories:
    is_cold = np.zeros(items, np.bool_)
    is_cold[rows] = True
    return Histories.of(history[~is_cold[history]] for history in met)


def _part(met: Histories, drawn: Int64Array, items: int) -> ColdPart:
    rows = np.sort(drawn).astype(np.int32)
    position = np.full(items, -1, np.int32)
    position[rows] = np.arange(len(rows), dtype=np.int32)
    found = (position[history] for history in met)
    return ColdPart(rows, Histories.of(history[history >= 0] for history in found))
