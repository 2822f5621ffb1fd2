"""A split: what each client trains on, what tunes the run, and what judges it."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Int64Array
from feature_store.errors import BadInput
from feature_store.vocabulary import ItemVocabulary
from training.context_meetings import Meetings, SplitMeetings
from training.histories import Histories
from training.interactions import Interactions
from training.split_log import MeetingLog


@dataclass(frozen=True, slots=True)
class OutOfReach:
    """What a split at a point of time cannot ask of any model that was trained before it.

    people: those who came first after the train part had ended.
    items: those that were met first after it.
    targets: how many of the held-out items are of such people, or are such items; they are no targets.
    asked: how many held-out items there were, those included.
    """

    people: int = 0
    items: int = 0
    targets: int = 0
    asked: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Item rows of every client, in three parts; client u of each part is the same person, user_ids[u].

    The parts of a person do not overlap, unless `ranks_met`.

    train: what the client trains on. Negatives are drawn from everything outside it, and from nothing less.
    valid: tunes settings and stops training.
    test: judges the outcome; nothing is chosen by it.
    repeats: interactions that met an item the person had met before; the first one alone was split (of each part,
        where `ranks_met`).
    ranks_met: whether items that a person has met before are ranked like any other, and are targets when met again.
    log: all meetings of the train part with their age, where the split is one at points of time.
    out_of_reach: what such a split left out.
    final: of such a split, the one by which to judge what valid has chosen: what came before the test is all train, as
        it is where a model is made anew each day. Without one, train stays as it is.
    meetings: when and on what each item of each part was met first in it, where interactions were split.
    """

    vocabulary: ItemVocabulary
    user_ids: tuple[str, ...]
    train: Histories
    valid: Histories
    test: Histories
    repeats: int = 0
    ranks_met: bool = False
    log: MeetingLog | None = None
    out_of_reach: OutOfReach = OutOfReach()
    final: "Split | None" = None
    meetings: SplitMeetings | None = None

    def __post_init__(self) -> None:
        for name, part in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            if len(part) != len(self.user_ids):
                raise BadInput(f"the {name} part of a split of {len(self.user_ids)} people has {len(part)} clients")

    @property
    def met_before_valid(self) -> tuple[Histories, ...]:
        """The parts whose items are left out of a person's ranking when valid judges."""
        return () if self.ranks_met else (self.train,)

    @property
    def met_before_test(self) -> tuple[Histories, ...]:
        """The parts whose items are left out of a person's ranking when test judges."""
        return () if self.ranks_met else (self.train, self.valid)

    @property
    def judged(self) -> "Split":
        """The split by which to judge: `final`, or this one where there is none."""
        return self.final or self

    @property
    def only_trained(self) -> int:
        """People with nothing in valid and test: what they did tunes and judges nothing."""
        return int(((self.valid.lengths == 0) & (self.test.lengths == 0)).sum())


def split_by_time(interactions: Interactions, valid: float = 0.1, test: float = 0.2) -> Split:
    """Each person's latest items are test, those before them valid, the rest train.

    A person with n distinct items has floor(test·n) of them in test and floor(valid·n) in valid, as the published
    70/10/20 splits have it. So everyone keeps at least one item to train on, and with the shares as they are, people
    with fewer than 5 items are only trained on. An item met again counts once, at the first time; of equal times the
    line that stands first in the file came first.

    Raises:
        BadInput: an interaction has no timestamp, there is none at all, or the shares leave nothing to train on.
    """
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise BadInput(f"the shares of valid and test are at least 0 and together below 1; got {valid} and {test}")
    met, lines = _first_met(interactions)
    return _cut(interactions, met, lines, valid=_share(valid, met.lengths), test=_share(test, met.lengths))


def leave_one_out(interactions: Interactions) -> Split:
    """Each person's last item is test, the one before it valid, the rest train.

    For comparisons with papers that rank the last item among 99 others. People with fewer than 3 distinct items are
    only trained on. Repeats, equal times and errors are those of `split_by_time`.
    """
    met, lines = _first_met(interactions)
    one = (met.lengths >= 3).astype(np.int64)
    return _cut(interactions, met, lines, valid=one, test=one)


def digest(split: Split) -> str:
    """A SHA-256 (hex) over vocabulary, people and the three parts, the same on every machine.

    A training run that is taken up again compares it: other data would be another run.
    """
    total = hashlib.sha256()
    total.update(json.dumps([split.vocabulary.item_ids, split.user_ids]).encode())
    for part in (split.train, split.valid, split.test):
        total.update(part.offsets.astype("<i8").tobytes())
        total.update(part.rows.astype("<i4").tobytes())
    if split.ranks_met:
        total.update(b"ranks met")
    return total.hexdigest()


def _first_met(interactions: Interactions) -> tuple[Histories, Int64Array]:
    """The distinct items of each person by the time they were first met, and the line of each of those meetings."""
    require_timestamps(interactions)
    by_time = np.lexsort((interactions.timestamps, interactions.users))  # stable: equal times stay in file order
    users, items = interactions.users[by_time], interactions.items[by_time]
    pairs = users.astype(np.int64) * len(interactions.vocabulary) + items
    first = np.sort(np.unique(pairs, return_index=True)[1])
    lengths = np.bincount(users[first], minlength=len(interactions.user_ids))
    return Histories(items[first], _offsets(lengths)), by_time[first]


def require_timestamps(interactions: Interactions) -> None:
    """Raise `BadInput` where there are no interactions, or some without a timestamp: they cannot be split by time."""
    if not len(interactions):
        raise BadInput("there are no interactions to split: the file has none, or all were left out")
    absent = int(np.isnan(interactions.timestamps).sum())
    if absent:
        raise BadInput(
            f"a split by time needs a timestamp for each interaction; {absent} of these {len(interactions)} have none"
        )


def _share(share: float, lengths: Int64Array) -> Int64Array:
    sizes: Int64Array = np.floor(share * lengths + 1e-9).astype(np.int64)  # .29 · 100 is 28.999... in binary
    return sizes


def _cut(
    interactions: Interactions, met: Histories, lines: Int64Array, *, valid: Int64Array, test: Int64Array
) -> Split:
    """Cut each person's items, first to last, into train, as many as `valid` says, and as many as `test` says."""
    lengths = met.lengths
    position = np.arange(len(met.rows)) - np.repeat(met.offsets[:-1], lengths)  # of an item in its person's history
    from_valid = np.repeat(lengths - valid - test, lengths)
    from_test = np.repeat(lengths - test, lengths)
    in_train, in_test = position < from_valid, position >= from_test
    in_valid = ~in_train & ~in_test
    return Split(
        vocabulary=interactions.vocabulary,
        user_ids=interactions.user_ids,
        train=Histories(met.rows[in_train], _offsets(lengths - valid - test)),
        valid=Histories(met.rows[in_valid], _offsets(valid)),
        test=Histories(met.rows[in_test], _offsets(test)),
        repeats=len(interactions) - len(lines),
        meetings=SplitMeetings(*(Meetings.of(interactions, lines[part]) for part in (in_train, in_valid, in_test))),
    )


def _offsets(lengths: Int64Array) -> Int64Array:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
