"""A split at two points of time, the same for everybody: train before the first, valid between them, test after.

What a model would have known at a moment, and what came next. A split by shares of each person's items
(`training.split.split_by_time`) lets a model know of one person's June what it is asked about another's May; this one
does not (Meng et al. 2020, "Exploring data splitting strategies for the evaluation of recommendation models").
"""

from typing import Literal, NamedTuple

import numpy as np

from feature_store.arrays import BoolArray, Int64Array
from feature_store.errors import BadInput
from training.context_meetings import Meetings, SplitMeetings
from training.histories import Histories
from training.interactions import Interactions
from training.split import OutOfReach, Split, require_timestamps
from training.split_log import MeetingLog

Repeats = Literal["new", "repeat"]
"""What becomes of an item that a person has met before.

new: it is no target and is not ranked. What is asked is what the person will discover.
repeat: it is ranked like any other, and a target where the person meets it again. What is asked is what comes next.
"""


class Cuts(NamedTuple):
    """Where valid begins and train ends, and where test begins and valid ends; seconds since 1970."""

    valid_from: float
    test_from: float


def cuts_by_share(interactions: Interactions, valid: float = 0.1, test: float = 0.2) -> Cuts:
    """The points of time before which 1 − valid − test of all interactions lie, and 1 − test.

    Interactions of equal time fall on one side together.

    Raises:
        BadInput: as `split_by_date`, or the shares leave nothing to train on.
    """
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise BadInput(f"the shares of valid and test are at least 0 and together below 1; got {valid} and {test}")
    require_timestamps(interactions)
    times = np.append(np.sort(interactions.timestamps), np.inf)
    at = (np.floor((1 - share) * len(interactions) + 1e-9).astype(np.int64) for share in (valid + test, test))
    return Cuts(*(float(times[position]) for position in at))


def split_by_date(interactions: Interactions, cuts: Cuts, repeats: Repeats = "new") -> Split:
    """Train before `cuts.valid_from`, valid from there on, test from `cuts.test_from` on.

    Each part holds the distinct items that a person met in it, in the order in which the person met them there first.
    Validation and test ask nothing that cannot be answered from train: people without items there and items that
    nobody met there are no targets, and `Split.out_of_reach` counts them. `Split.final` is the split at `test_from`
    alone: what was chosen on valid is trained on all that came before the test, and judged.

    Raises:
        BadInput: an interaction has no timestamp, there is none at all, the cuts are not in order, or nothing lies
            before the first of them.
    """
    require_timestamps(interactions)
    if not cuts.valid_from <= cuts.test_from:
        raise BadInput(f"valid begins before test does; got {cuts.valid_from} and {cuts.test_from}")
    by_time = np.argsort(interactions.timestamps, kind="stable")  # equal times stay in file order
    users, items = interactions.users[by_time], interactions.items[by_time]
    times = interactions.timestamps[by_time]
    people, catalogue = len(interactions.user_ids), len(interactions.vocabulary)
    part = np.searchsorted(np.array(cuts), times, side="right")  # 0 train, 1 valid, 2 test
    in_train = part == 0
    if not in_train.any():
        raise BadInput("no interaction lies before the time at which validation begins; there is nothing to train on")

    pairs = users.astype(np.int64) * catalogue + items
    known_people = np.bincount(users[in_train], minlength=people) > 0
    known_items = np.bincount(items[in_train], minlength=catalogue) > 0
    reachable = known_people[users] & known_items[items]
    counted = _first_of(pairs if repeats == "new" else pairs * 3 + part)
    asked = counted & ~in_train

    def histories(chosen: BoolArray) -> tuple[Histories, Meetings]:
        of_person = np.argsort(users[chosen], kind="stable")
        lengths = np.bincount(users[chosen], minlength=people)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        lines = by_time[chosen][of_person]
        return Histories(items[chosen][of_person], offsets), Meetings.of(interactions, lines)

    train, valid, test = (
        histories(part_of)
        for part_of in (counted & in_train, asked & reachable & (part == 1), asked & reachable & (part == 2))
    )
    return Split(
        vocabulary=interactions.vocabulary,
        user_ids=interactions.user_ids,
        train=train[0],
        valid=valid[0],
        test=test[0],
        repeats=int((~counted).sum()),
        ranks_met=repeats == "repeat",
        log=MeetingLog(users[in_train], items[in_train], cuts.valid_from - times[in_train]),
        out_of_reach=OutOfReach(
            people=len(np.unique(users[~known_people[users]])),
            items=len(np.unique(items[~known_items[items]])),
            targets=int((asked & ~reachable).sum()),
            asked=int(asked.sum()),
        ),
        final=_at(interactions, cuts.test_from, repeats) if cuts.valid_from < cuts.test_from else None,
        meetings=SplitMeetings(train[1], valid[1], test[1]),
    )


def _at(interactions: Interactions, test_from: float, repeats: Repeats) -> Split:
    return split_by_date(interactions, Cuts(test_from, test_from), repeats)


def _first_of(keys: Int64Array) -> BoolArray:
    """Whether each key stands there for the first time."""
    first = np.zeros(len(keys), dtype=np.bool_)
    first[np.unique(keys, return_index=True)[1]] = True
    return first
