"""Tasks and replies: what the server asks of a cell, and what comes back. Both are a header and arrays.

    task         arrays                                   asks for the sum over the cell of
    population   item_ids                                 1 for each person who can train, and each who can be judged;
                                                          the items met since a time
    round        item_vectors                             the updates of its part of the round's cohort
    compressed   table, scales, steps                     everybody's updates, of some rows and in few bits
    evaluate     item_vectors, item_discounts             how well the people judged are served
    private      popularity, directions                   the people's bounded terms, with the cell's share of the noise
    adopt        -                                        people folded in anew on the checkpoint in production

A reply holds sums over people or says why there are none. There is no field in it for a person, and no length depends
on who is there.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from feature_store.events import LATEST_TIMESTAMP
from feature_store.fold_in import FoldInSettings
from feature_store.manifest import CheckpointId
from training.secure_aggregation.terms import LEAST_CLIENTS, MOST_CLIENTS
from training.user_bound import UserBound

Kind: TypeAlias = Literal["population", "round", "compressed", "evaluate", "private", "adopt"]
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
"""By name; float32, or bytes."""
RunId: TypeAlias = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,79}$")]
Name: TypeAlias = Annotated[str, Field(pattern="^[a-z0-9_]{1,64}$")]
Finite: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Seconds: TypeAlias = Annotated[float, Field(ge=0, lt=LATEST_TIMESTAMP)]
"""Since 1970, as events have it."""

_MOST_PEOPLE = 1 << 40
_MOST_ROUNDS = 1 << 31


class Header(BaseModel):
    """What stands beside the arrays of a message."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LossSettings(Header):
    """The weights of the loss, and of the clients (`training.activity`)."""

    alpha: float = Field(ge=1e-9, le=100, allow_inf_nan=False, description="α, of an item not met")
    regularization: float = Field(ge=1e-9, le=100, allow_inf_nan=False, description="λ")
    activity_exponent: float = Field(ge=0, le=1, description="x: a client of n items counts by n^(−x)")
    row_bound: float | None = Field(
        default=None,
        ge=1e-9,
        le=1e9,
        allow_inf_nan=False,
        description="on what one client adds (`training.user_bound`)",
    )

    @property
    def fold_in(self) -> FoldInSettings:
        """Those that folding in needs."""
        return FoldInSettings(self.alpha, self.regularization)

    @property
    def bound(self) -> UserBound:
        """On what one client adds to the sums of a round."""
        return UserBound(self.row_bound)


class PopulationTask(Header):
    """Take up a run: find the people's item rows, and say how many people there are."""

    kind: Literal["population"] = "population"
    run_id: RunId
    held_out: float = Field(ge=0, lt=1, description="share of each person's items, the newest, that judges")
    since: Seconds = Field(default=0.0, description="items met then or later are counted as new")
    private: bool = Field(default=False, description="say how many people there are, and no more")


class RoundTask(Header):
    """Compute the update of this cell's part of the cohort (`training.transport.Cohorts`)."""

    kind: Literal["round"] = "round"
    run_id: RunId
    round_number: int = Field(ge=0, lt=_MOST_ROUNDS)
    cohort: int = Field(ge=1, le=_MOST_PEOPLE)
    population: int = Field(ge=1, le=_MOST_PEOPLE)
    seed: int = Field(ge=0, lt=1 << 63)
    loss: LossSettings


class CompressedTask(Header):
    """Compute the update of everybody, and send of it what the arrays ask for (`training.compression`)."""

    kind: Literal["compressed"] = "compressed"
    run_id: RunId
    round_number: int = Field(ge=0, lt=_MOST_ROUNDS)
    population: int = Field(ge=1, le=_MOST_PEOPLE)
    loss: LossSettings
    levels: int = Field(ge=1, le=1000)
    cells: int = Field(ge=LEAST_CLIENTS, le=MOST_CLIENTS, description="of which the sum is at the most")


class EvaluationTask(Header):
    """Rank all items for people with held-out ones, and count those found.

    Fewer item vectors than the run has items are those of a checkpoint that knows the first of them alone: it ranks no
    other, and a held-out item that it does not know is one that it does not find.
    """

    kind: Literal["evaluate"] = "evaluate"
    run_id: RunId
    loss: LossSettings
    most: int = Field(ge=0, le=_MOST_PEOPLE, description="judge so many people of the population; 0 is everybody")
    population: int = Field(ge=1, le=_MOST_PEOPLE)
    since: Seconds = Field(default=0.0, description="judge by held-out items met then or later")


class PrivateTask(Header):
    """Add up the terms of everybody who can train, with noise, as the arrays ask (`training.privacy.question`).

    The noise of so many cells as `noise_cells` says has the deviation that is asked for: each adds its share.
    """

    kind: Literal["private"] = "private"
    run_id: RunId
    items: int = Field(ge=1, le=1 << 32)
    population: int = Field(ge=1, le=_MOST_PEOPLE)
    deviation: float = Field(ge=0.01, le=1e9, description="σ of the whole noise, for a person who adds at most 1")
    noise_cells: int = Field(ge=1, le=1024)
    left: float = Field(gt=0, le=1e4, description="what this release and those of the run behind it cost together, μ²")


class AdoptionTask(Header):
    """Fold everybody in anew on the checkpoint that was promoted."""

    kind: Literal["adopt"] = "adopt"
    checkpoint_id: CheckpointId


Task: TypeAlias = Annotated[
    PopulationTask | RoundTask | CompressedTask | EvaluationTask | PrivateTask | AdoptionTask,
    Field(discriminator="kind"),
]


class SumsHeader(Header):
    """Sums over people: numbers by name, and arrays beside the header."""

    kind: Literal["sums"] = "sums"
    of: Kind
    numbers: Mapping[Name, Finite] = Field(max_length=32)


class RefusalHeader(Header):
    """Why there are no sums.

    error: the name of the error. reason: in words, which name nobody.
    """

    kind: Literal["refusal"] = "refusal"
    error: str = Field(pattern="^[A-Za-z]{1,64}$")
    reason: str = Field(max_length=1000)


Reply: TypeAlias = Annotated[SumsHeader | RefusalHeader, Field(discriminator="kind")]


NO_ARRAYS: Arrays = MappingProxyType({})


class TaskMessage(NamedTuple):
    """A task with its arrays."""

    header: Task
    arrays: Arrays = NO_ARRAYS


class ReplyMessage(NamedTuple):
    """A reply with its arrays."""

    header: Reply
    arrays: Arrays = NO_ARRAYS
