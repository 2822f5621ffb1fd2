"""The people of a cell, as training sees them: item rows of what each has met, the newest of them held out."""

from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float64Array, Int64Array
from feature_store.events import History
from feature_store.met import MetItems
from feature_store.stores import EventStore
from feature_store.unreadable import UNREADABLE
from feature_store.vocabulary import ItemVocabulary
from training.histories import Histories


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Everybody in a cell, in the order of their ids; nothing here says who.

    train: rows of the items met, the first met first.
    held_out: of the newest; nobody trains on them.
    held_out_times: when each of those was met first, in seconds since 1970; 0 where that is no longer known.
    new_items: items of the vocabulary met first at the time asked about or later, added up over people.
    unknown_items: items met that are not in the vocabulary, added up over people. They count for nothing.
    unreadable: people whose events cannot be read, and who are left out.
    """

    train: Histories
    held_out: Histories
    held_out_times: tuple[Float64Array, ...]
    new_items: int
    unknown_items: int
    unreadable: int

    @property
    def clients(self) -> Int64Array:
        """The numbers of those who have something to train on, ascending."""
        return np.flatnonzero(self.train.lengths)

    @property
    def judged(self) -> Int64Array:
        """The numbers of those who have held-out items, ascending."""
        return np.flatnonzero(self.held_out.lengths)

    def held_out_since(self, since: float) -> tuple[Histories, Histories]:
        """The held-out items met first at that time or later, and the other held-out ones, of each person."""
        is_new = [times >= since for times in self.held_out_times]
        pairs = list(zip(self.held_out, is_new, strict=True))
        return Histories.of(rows[new] for rows, new in pairs), Histories.of(rows[~new] for rows, new in pairs)


async def read_people(events: EventStore, vocabulary: ItemVocabulary, held_out: float, since: float = 0.0) -> People:
    """Everybody's rows, as they are now.

    A person with n known items has floor(held_out·n) of them held out, as `training.split.split_by_time` has it.

    since: the time that `People.new_items` is about, in seconds since 1970.

    Raises:
        StoreError: the store cannot be read at all.
    """
    train, newest, newest_times, new, unknown = [], [], [], 0, 0
    names, unreadable = await _names(events)
    for user_id in names:
        try:
            met, history = await events.met(user_id), await events.get(user_id)
        except UNREADABLE:
            unreadable += 1
            continue
        known = {item_id: time for item_id, time in times_met(met, history).items() if item_id in vocabulary}
        unknown += len(met.item_ids) - len(known)
        rows, times = vocabulary.rows(list(known)), np.array(list(known.values()), np.float64)
        new += int((times >= since).sum())
        kept = len(rows) - int(held_out * len(rows) + 1e-9)  # .29 · 100 is 28.999... in binary
        train.append(rows[:kept])
        newest.append(rows[kept:])
        newest_times.append(times[kept:])
    return People(Histories.of(train), Histories.of(newest), tuple(newest_times), new, unknown, unreadable)


async def _names(events: EventStore) -> tuple[list[str], int]:
    """The ids of all people, ascending, and how many there are at least whose ids cannot be read."""
    people, names, unreadable = events.user_ids(), set[str](), 0
    while True:
        try:
            names.add(await anext(people))
        except StopAsyncIteration:
            return sorted(names), unreadable
        except UNREADABLE:  # said at the end, behind everybody else
            unreadable += 1


def in_order_met(met: MetItems, history: History) -> list[str]:
    """The items met, the first met first; those whose events are no longer kept one by one were met before."""
    return list(times_met(met, history))


def times_met(met: MetItems, history: History) -> dict[str, float]:
    """When each item was met first, in that order; 0 of those whose events are no longer kept one by one."""
    known, first = set(met.item_ids), dict[str, float]()
    for event in history.events:
        if event.item_id in known:
            first.setdefault(event.item_id, event.timestamp)
    return {item_id: 0.0 for item_id in met.item_ids if item_id not in first} | first
