"""Stages: which checkpoint answers, which one answers in its shadow, and the trail of who changed that, when and why.

    candidate     published, and in neither of the others
    shadow        scored beside production for comparison; nobody is shown its answers
    production    answers requests

The stages change by entries with rising numbers. An entry has the whole state after the change and the change itself,
so that one write makes both: there is no change without its line in the trail, and no line without its change.
"""

import json
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from feature_store.errors import BadInput, NothingPromoted
from feature_store.manifest import CheckpointId

LARGEST_ENTRY = 1 << 20  # bytes; the longest way back that is written takes a tenth of it
LONGEST_WAY_BACK = 1000  # checkpoints; else the entries would grow for ever, and one day be larger than is read
_LONGEST_WHO = 200
_LONGEST_WHY = 1000

Stage: TypeAlias = Literal["candidate", "shadow", "production"]
What: TypeAlias = Literal["promote", "roll back", "collect", "collected"]
_Who: TypeAlias = Annotated[str, StringConstraints(max_length=_LONGEST_WHO)]
_Why: TypeAlias = Annotated[str, StringConstraints(max_length=_LONGEST_WHY)]


@dataclass(frozen=True, slots=True)
class Stages:
    """Which checkpoint answers requests, and those that did before it, oldest first: the way of a roll-back."""

    production: str | None = None
    previous: tuple[str, ...] = ()
    shadow: str | None = None

    def of(self, checkpoint_id: str) -> Stage:
        """The stage of a published checkpoint.

        >>> Stages("r0002-bb", ("r0001-aa",)).of("r0001-aa")
        'candidate'
        """
        if checkpoint_id == self.production:
            return "production"
        return "shadow" if checkpoint_id == self.shadow else "candidate"


class Change(BaseModel):
    """One line of the trail. It says what its writer wrote: entries are not signed.

    who: a person or a program, as it called itself.
    why: as `--reason` gave it; may be empty.
    checkpoint_id: the one that changed its stage, from one stage to another; none for a collection.
    replaced: the one that was in the stage before.
    removed: what a collection set out to remove ("collect") or has removed ("collected").
    token: a random one, by which a writer knows its own entry again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    what: What
    who: _Who
    when: datetime
    why: _Why = ""
    checkpoint_id: CheckpointId | None = None
    from_stage: Stage | None = None
    to_stage: Stage | None = None
    replaced: CheckpointId | None = None
    removed: tuple[CheckpointId, ...] = ()
    token: str = Field(default_factory=lambda: secrets.token_hex(8), max_length=16)


class Entry(BaseModel):
    """The stages as they are after one change. It is not signed: nothing of it is believed that is not of this form.

    number: of the change, from 1; None where an earlier Hearth, which counted none, or a person has written it.
    removing: what a collection has set out to remove; nothing of it can be promoted, and it may be gone.
    change: None where nobody says what it was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    production: CheckpointId | None
    previous: tuple[CheckpointId, ...]
    shadow: CheckpointId | None = None
    removing: tuple[CheckpointId, ...] = ()
    number: int | None = Field(default=None, ge=0)
    change: Change | None = None

    @property
    def stages(self) -> Stages:
        """The state alone."""
        return Stages(self.production, self.previous, self.shadow)

    def to_bytes(self) -> bytes:
        """The bytes that are written."""
        return (json.dumps(self.model_dump(mode="json"), indent=2) + "\n").encode()

    def followed_by(self, stages: Stages, change: Change, removing: tuple[str, ...] | None = None) -> "Entry":
        """The next entry; what is being removed stays so where nothing else is said."""
        return Entry(
            production=stages.production,
            previous=stages.previous[-LONGEST_WAY_BACK:],
            shadow=stages.shadow,
            removing=self.removing if removing is None else removing,
            number=(self.number or 0) + 1,
            change=change,
        )


NO_ENTRY = Entry(production=None, previous=(), number=0)
"""Before anything was promoted."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Who changes something, and why, as the trail will tell it; neither is verified.

    who: a person or a program, 1 to 200 characters.
    why: at most 1,000 characters; may be empty.
    """

    who: str
    why: str = ""

    def __post_init__(self) -> None:
        if not self.who or len(self.who) > _LONGEST_WHO or len(self.why) > _LONGEST_WHY:
            raise BadInput(
                f"the trail takes a name of 1 to {_LONGEST_WHO} characters and a reason of at most {_LONGEST_WHY}; "
                f"got {len(self.who)} and {len(self.why)}"
            )

    def moved(self, checkpoint_id: str, before: Stages, to: Stage, what: What = "promote") -> Change:
        """The line for a checkpoint that goes from the stage that it was in to another."""
        return Change(
            what=what,
            who=self.who,
            why=self.why,
            when=datetime.now(UTC),
            checkpoint_id=checkpoint_id,
            from_stage=before.of(checkpoint_id),
            to_stage=to,
            replaced=before.production if to == "production" else before.shadow if to == "shadow" else None,
        )

    def removed(self, what: What, checkpoint_ids: tuple[str, ...]) -> Change:
        """The line for a collection, before and after it."""
        return Change(what=what, who=self.who, why=self.why, when=datetime.now(UTC), removed=checkpoint_ids)


def promoted(now: Stages, checkpoint_id: str, to: Stage) -> Stages:
    """The stages with a checkpoint in another stage; the same stages where it is there already.

    >>> promoted(Stages("a", (), "b"), "b", "production")
    Stages(production='b', previous=('a',), shadow=None)

    Raises:
        BadInput: it is in production, and would leave that for a lower stage: what should answer instead?
    """
    if now.of(checkpoint_id) == to:
        return now
    if checkpoint_id == now.production:
        raise BadInput(
            f"{checkpoint_id} is in production and cannot become {to}; promote another to production, or roll back"
        )
    if to == "shadow":
        return replace(now, shadow=checkpoint_id)
    shadow = None if now.shadow == checkpoint_id else now.shadow
    if to == "candidate":
        return replace(now, shadow=shadow)
    previous = now.previous if now.production is None else (*now.previous, now.production)
    return Stages(checkpoint_id, previous[-LONGEST_WAY_BACK:], shadow)


def rolled_back(now: Stages, place: str) -> Stages:
    """The stages with what was in production before there again; raises `NothingPromoted` naming the place."""
    if not now.previous:
        raise NothingPromoted(f"no checkpoint of {place} was in production before {now.production}")
    back = now.previous[-1]
    return Stages(back, now.previous[:-1], None if now.shadow == back else now.shadow)
