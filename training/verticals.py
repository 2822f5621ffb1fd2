"""Verticals: several catalogues in one split, so that one model and one user embedding serve them all."""

from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from feature_store.errors import BadInput
from feature_store.row_ranges import Catalogues
from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories
from training.split import OutOfReach, Split
from training.split_log import MeetingLog


class Joined(NamedTuple):
    """One split over the items of all verticals, and the rows of each."""

    split: Split
    catalogues: Catalogues


def joined(splits: Mapping[str, Split]) -> Joined:
    """Put the splits of several verticals together. Whoever has the same user id is one person.

    Rows go by vertical, in the order given; an item belongs to one vertical.

    Raises:
        BadInput: an item id stands in two verticals, or some of the splits rank items met before and others do not.
    """
    _require_fitting(splits)
    parts = list(splits.values())
    stops = list(accumulate(len(split.vocabulary) for split in parts))
    starts = [0, *stops[:-1]]
    numbers: dict[str, int] = {}
    for split in parts:
        for user_id in split.user_ids:
            numbers.setdefault(user_id, len(numbers))

    def histories(name: str) -> Histories:
        rows: list[list[int]] = [[] for _ in numbers]
        for split, start in zip(parts, starts, strict=True):
            of_part: Histories = getattr(split, name)
            for user_id, history in zip(split.user_ids, of_part, strict=True):
                rows[numbers[user_id]].extend((history + start).tolist())
        return Histories.of(rows)

    split = Split(
        vocabulary=ItemVocabulary(item_id for split in parts for item_id in split.vocabulary.item_ids),
        user_ids=tuple(numbers),
        train=histories("train"),
        valid=histories("valid"),
        test=histories("test"),
        repeats=sum(split.repeats for split in parts),
        ranks_met=parts[0].ranks_met,
        log=_log(parts, starts, numbers),
        out_of_reach=OutOfReach(
            **{
                name: sum(getattr(split.out_of_reach, name) for split in parts)
                for name in ("people", "items", "targets", "asked")
            }
        ),
    )
    return Joined(split, {v: ((start, stop),) for v, start, stop in zip(splits, starts, stops, strict=True)})


def _require_fitting(splits: Mapping[str, Split]) -> None:
    if not splits:
        raise BadInput("there is no vertical to join")
    if len({split.ranks_met for split in splits.values()}) > 1:
        raise BadInput(f"of the verticals {', '.join(splits)} some rank items met before, and others do not")
    vertical_of: dict[str, str] = {}
    for vertical, split in splits.items():
        for item_id in split.vocabulary.item_ids:
            first = vertical_of.setdefault(item_id, vertical)
            if first != vertical:
                raise BadInput(f"item {item_id!r} stands in the verticals {first} and {vertical}; it belongs to one")


def _log(parts: list[Split], starts: list[int], numbers: Mapping[str, int]) -> MeetingLog | None:
    """The logs as one, where every split has one."""
    clients, items, ages = [], [], []
    for split, start in zip(parts, starts, strict=True):
        if split.log is None:
            return None
        client_of = np.array([numbers[user_id] for user_id in split.user_ids], dtype=np.int32)
        clients.append(client_of[split.log.clients])
        items.append(split.log.items + np.int32(start))
        ages.append(split.log.ages)
    return MeetingLog(np.concatenate(clients), np.concatenate(items), np.concatenate(ages))
