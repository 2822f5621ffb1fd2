"""Robust aggregation: the coordinate median and the trimmed mean, which a few poisoned updates do not move far.

They are those of Yin et al. 2018, "Byzantine-robust distributed learning", definitions 1 and 2.
Each group of a cohort has one vote, the mean of its clients, and the rule is applied to each number by itself.
A group of 1 is the algorithm of the paper. It compares the updates of single clients, so the server has to see
them, and secure aggregation is out. A larger group is bucketing (Karimireddy et al. 2022, "Byzantine-robust
learning on heterogeneous datasets via bucketing"): votes vary less, which updates of people of many tastes need,
and the clients of a group can add up securely among themselves, as those of an edge cell do. But one malicious
client spoils the vote of its whole group, so that fewer of them are held.

Votes that are not finite are left out. The counts of items are not voted on: a client adds 0 or 1 to each, so
they are summed, each group's within what its clients can have added.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from tempfile import TemporaryFile
from typing import IO, NamedTuple, TypeAlias

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput, Diverged
from training.aggregation import MEAN, Aggregation
from training.client_update import ITEM_COUNTS, ClientUpdate
from training.server_settings import AggregationSettings

LEAST_VOTES = 3
CELLS = 1 << 22  # numbers of all votes that are looked at together: 16 MiB

Rule: TypeAlias = Callable[[Float32Array], Float32Array]
"""From votes, shape (votes, numbers), to what they agree on, shape (numbers,)."""


def make_aggregation(settings: AggregationSettings) -> Aggregation:
    """The aggregation that the settings name."""
    match settings.rule:
        case "mean":
            return MEAN
        case "median":
            return robust(median, settings.group_size)
        case "trimmed_mean":
            least = max(LEAST_VOTES, math.ceil(1 / settings.trim))  # of fewer the share is not one vote
            return robust(trimmed_mean(settings.trim), settings.group_size, least)


def robust(rule: Rule, group_size: int, least: int = LEAST_VOTES) -> Aggregation:
    """The aggregation that agrees by that rule on what the mean client of a cohort sent, times its clients.

    least: updates that it takes, those included that turn out not to be finite: nobody stops a run by sending one.
    """
    return Aggregation(lambda updates: _agreed(updates, rule, least), group_size)


def median(votes: Float32Array) -> Float32Array:
    """The middle vote on each number; of an even number of votes the mean of the two in the middle."""
    middle: Float32Array = np.median(votes, axis=0)
    return middle


def trimmed_mean(trim: float) -> Rule:
    """The mean of the votes on each number without the highest and the lowest, a share `trim` of all at each end.

    At least one at each end: where some were left out, as they are not finite, the share of the rest may be below it.
    """

    def rule(votes: Float32Array) -> Float32Array:
        cut = max(1, int(trim * len(votes)))
        kept: Float32Array = np.sort(votes, axis=0)[cut:-cut].mean(axis=0, dtype=np.float64).astype(np.float32)
        return kept

    return rule


class _Vote(NamedTuple):
    """What is kept in memory of the update of a group; its numbers are in the file."""

    shapes: dict[str, tuple[int, ...]]
    counts: Float32Array | None
    loss: float
    clients: int


def _agreed(updates: Iterable[ClientUpdate], rule: Rule, least: int) -> ClientUpdate:
    with TemporaryFile() as file:  # memory holds one update, and then a slice of all of them
        votes: list[_Vote] = []
        heard = of = 0
        for update in updates:
            votes += _cast(update, file)
            heard, of = heard + 1, of + update.clients
        clients = sum(vote.clients for vote in votes)
        if heard < least:
            raise BadInput(
                f"the vote compares at least {least} updates; there are {heard}, which are the sums over {of} "
                f"clients, and what was added up cannot be told apart. Take larger cohorts, or smaller groups of them"
            )
        if len(votes) < LEAST_VOTES:
            raise Diverged(
                f"{len(votes)} of the {heard} updates of a round are finite, and a vote compares at least "
                f"{LEAST_VOTES}; try a lower learning rate, or weights of the loss nearer to the defaults"
            )
        if any(vote.shapes != votes[0].shapes for vote in votes):
            raise BadInput(f"updates of one round carry the same sums; got {[vote.shapes for vote in votes]}")
        file.flush()
        numbers = np.memmap(file, np.float32, mode="r").reshape(len(votes), -1)
        width = max(1, CELLS // len(votes))
        agreed = np.concatenate([rule(numbers[:, at : at + width]) for at in range(0, numbers.shape[1], width)])
    shapes = votes[0].shapes
    parts = np.split(agreed * np.float32(clients), np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1])
    sums = {name: part.reshape(shape) for part, (name, shape) in zip(parts, shapes.items(), strict=True)}
    counts = [vote.counts for vote in votes if vote.counts is not None]
    if counts:
        sums[ITEM_COUNTS] = np.sum(counts, axis=0)
    return ClientUpdate(sums, float(np.median([vote.loss for vote in votes])) * clients, clients)


def _cast(update: ClientUpdate, file: IO[bytes]) -> Iterator[_Vote]:
    """Write the mean of a group's clients to the file, if it is finite."""
    voted = {name: array for name, array in update.sums.items() if name != ITEM_COUNTS}
    mean = np.concatenate([array.ravel() for array in voted.values()]) / np.float32(update.clients)
    if not np.isfinite([mean.sum(dtype=np.float64), update.loss]).all():
        return
    file.write(mean.astype(np.float32).tobytes())
    counts = update.sums.get(ITEM_COUNTS)
    possible = None if counts is None else np.clip(np.nan_to_num(counts), 0, update.clients)
    shapes = {name: array.shape for name, array in voted.items()}
    yield _Vote(shapes, possible, update.loss / update.clients, update.clients)
