"""The rule by which interactions are split, as the command line names it."""

from dataclasses import dataclass
from typing import Literal

from feature_store.errors import BadInput
from training.interactions import Interactions
from training.split import Split, split_by_time
from training.split_global import Cuts, Repeats, cuts_by_share, split_by_date

SplitBy = Literal["person", "time"]
"""person: the latest share of each person's items is held out. time: all that happened from a point of time on."""


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How to split; shares are those of each person's items, or of all interactions where the split is by time.

    by: see `SplitBy`.
    repeats: what becomes of items met before; see `training.split_global.Repeats`.
    cuts: the points of time, instead of the shares; for a split by time.
    """

    by: SplitBy = "person"
    repeats: Repeats = "new"
    cuts: Cuts | None = None

    def __post_init__(self) -> None:
        if self.by == "person" and (self.repeats == "repeat" or self.cuts is not None):
            what = "repeats are targets" if self.repeats == "repeat" else "points of time are given"
            raise BadInput(f"{what} only where the split is by time; got a split by person")

    def split(self, interactions: Interactions, valid: float = 0.1, test: float = 0.2) -> Split:
        """The split by this rule; errors are those of `split_by_time` and `split_by_date`."""
        if self.by == "person":
            return split_by_time(interactions, valid=valid, test=test)
        return split_by_date(interactions, self.cuts or cuts_by_share(interactions, valid, test), self.repeats)
