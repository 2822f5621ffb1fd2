"""Experiments: people are divided, by a salted hash, into arms that are answered by different placements.

[experiments.fresher]
placement = "front-page"
arms = { control = { share = 0.5 }, fresher = { share = 0.5, placement = "front-page-fresher" } }
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from serving.assignment import part_of

_Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]


class Arm(BaseModel):
    """One way to be answered. placement: whose settings answer; absent: the experiment's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
    placement: _Name | None = None


class Experiment(BaseModel):
    """A division of those who ask one placement.

    salt: another one divides people anew; absent: the experiment's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    placement: _Name
    arms: Annotated[Mapping[_Name, Arm], Field(min_length=1, max_length=20)]
    salt: Annotated[str, Field(min_length=1, max_length=64)] | None = None

    @field_validator("arms")
    @classmethod
    def _come_to_one_at_most(cls, arms: Mapping[str, Arm]) -> Mapping[str, Arm]:
        if sum(arm.share for arm in arms.values()) > 1 + 1e-9:
            raise ValueError("the shares of the arms come to more than everybody")
        return arms

    def arm(self, name: str, unit: str, asked_for: str | None = None) -> str | None:
        """The arm of the experiment of that name that a unit is in; None for who is in none.

        asked_for: the arm that the client chose; one that there is goes before the hash.
        """
        if asked_for is not None:
            return asked_for if asked_for in self.arms else None
        return part_of(self.salt or name, unit, {arm: settings.share for arm, settings in self.arms.items()})


def arms_of(
    experiments: Mapping[str, Experiment], placement: str, unit: str, asked_for: Mapping[str, str]
) -> dict[str, str]:
    """The arms of all experiments on a placement that a unit is in: experiment -> arm."""
    found = (
        (name, experiment.arm(name, unit, asked_for.get(name)))
        for name, experiment in experiments.items()
        if experiment.placement == placement
    )
    return {name: arm for name, arm in found if arm is not None}


def answered_by(experiments: Mapping[str, Experiment], arms: Mapping[str, str]) -> str | None:
    """The placement that the first of these arms with one of its own names; None for none."""
    named = (experiments[name].arms[arm].placement for name, arm in arms.items())
    return next((placement for placement in named if placement is not None), None)


def arm_label(arms: Mapping[str, str]) -> str:
    """The arms in one text, for metrics.

    >>> arm_label({"fresher": "control", "colours": "blue"})
    'fresher/control,colours/blue'
    """
    return ",".join(f"{name}/{arm}" for name, arm in arms.items())
