"""The centre: a run as its operator asks for it, and what became of it. Both are files at the centre.

What an operator wants does not travel through Flower: whoever could start a run there would name files of the
centre's machine. A run's configuration holds the name of a request, and the request lies in the centre's folder.
"""

import re
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from feature_store.durable import replace
from feature_store.errors import BadInput
from feature_store.faults import faults_of
from feature_store.manifest import PrivacySpent
from training.gate import Check, GateSettings
from training.run_log import RoundRecord
from training.settings import TrainingSettings

JudgedBy: TypeAlias = Literal["newer than production", "held out", "nothing"]

_NAME = re.compile("[a-z0-9][a-z0-9-]{0,63}")


class RetrainingRules(BaseModel):
    """What is asked of a retraining beside the training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: GateSettings = GateSettings()
    least_new_events: int = Field(default=1, ge=0, description="items met since production; below, nothing is trained")
    start: Literal["production", "new"] = Field(default="production", description="what the first round begins with")
    resume_seconds: float = Field(
        default=21600.0,
        ge=0,
        allow_inf_nan=False,
        description="an older saved state is discarded, and not gone on with",
    )


class Request(BaseModel):
    """What a run is to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registry: str = Field(description="a folder or a URL: where the checkpoint is published")
    state: Path | None = Field(
        default=None, description="where the rounds are saved; default: training/ in the registry"
    )
    signing_key: Path = Field(description="what signs it; made where there is none")
    settings: TrainingSettings = TrainingSettings()
    catalogue: Path | None = Field(
        default=None, description="items.csv; without one, the items are those in production"
    )
    vertical: str = Field(default="e-commerce", min_length=1, description="of items that are not in production yet")
    held_out: float = Field(
        default=0.1, ge=0, lt=1, description="share of each person's items, the newest, that judges"
    )
    validates: bool = Field(default=False, description="judge after each round, and publish the best state")
    cells: int = Field(default=1, ge=1, description="cells to wait for before the first round")
    quorum: int = Field(default=1, ge=1, description="the fewest that make a round")
    gather_seconds: float = Field(
        default=120.0, ge=0, allow_inf_nan=False, description="to wait for the cells, at first and below the quorum"
    )
    deadline_seconds: float = Field(default=600.0, gt=0, allow_inf_nan=False, description="for a cell's answer")
    promote: bool = Field(default=False, description="put the checkpoint into production, and let cells adopt it")
    fresh: bool = Field(default=False, description="discard the saved state of an unfinished run")
    actor: str | None = Field(
        default=None, min_length=1, max_length=200, description="who promotes, for the trail; default: the account"
    )
    retraining: RetrainingRules | None = Field(default=None, description="let the gate decide, and not promote")

    @field_validator("registry", mode="before")
    @classmethod
    def _named(cls, place: Any) -> Any:
        return str(place) if isinstance(place, Path) else place

    @model_validator(mode="after")
    def _judges_nobody_in_private(self) -> "Request":
        if self.settings.privacy is not None and (self.held_out or self.validates):
            raise ValueError(
                f"a private run holds nothing out and validates nothing: figures of people's data have no noise on "
                f"them; got held_out {self.held_out:g}, validates {self.validates}"
            )
        return self

    @property
    def saved(self) -> Path:
        """The folder of the saved rounds."""
        if self.state is None and "://" in self.registry:
            raise BadInput(f"the rounds of a run are saved in a folder; {self.registry} is none, and state names none")
        return self.state or Path(self.registry) / "training"


class Retrained(BaseModel):
    """What a retraining came to.

    production: the checkpoint in production before, where there was one.
    decision: promoted, kept or skipped. why: in a sentence.
    checks: what the gate asked of the candidate.
    figures: of each that was judged, by candidate, production and popularity.
    judged_by: held-out items newer than production's training, all held-out items, or nothing.
    since: when production's training had read the events, in seconds since 1970; 0 without production.
    new_items: items that people have met since then.
    warm: whether the first round began with production's vectors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    production: str | None = None
    decision: Literal["promoted", "kept", "skipped"]
    why: str
    checks: tuple[Check, ...] = ()
    figures: dict[str, dict[str, float]] = Field(default_factory=dict)
    judged_by: JudgedBy = "nothing"
    since: float = 0.0
    new_items: int = 0
    warm: bool = False


class RunOutcome(BaseModel):
    """What became of a run. error: in a line; the rest is of a run that came to its end.

    secure_sums: whether cells' sums were added under masks, so that the centre saw no cell's own.
    missed: what a cell had no part in: what it was, the cell, the reason.
    privacy: what a private run and those before it have spent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    error: str | None = None
    checkpoint_id: str | None = None
    rounds: int = 0
    published_round: int = 0
    resumed_at: int = 0
    converged: bool = False
    cells: tuple[str, ...] = ()
    secure_sums: bool = False
    clients: int = 0
    downlink_bytes: int = 0
    uplink_bytes: int = 0
    training_seconds: float = 0.0
    valid: dict[str, float] = Field(default_factory=dict)
    promoted: bool = False
    adopted: dict[str, int] = Field(default_factory=dict)
    missed: tuple[tuple[str, str, str], ...] = ()
    retrained: Retrained | None = None
    privacy: PrivacySpent | None = None
    log: tuple[RoundRecord, ...] = ()


def write_request(folder: Path, name: str, request: Request) -> None:
    """Put a request there for the ServerApp to find."""
    folder.mkdir(parents=True, exist_ok=True)
    replace(_file(folder, name, "request"), request.model_dump_json(indent=2).encode())


def read_request(folder: Path, name: Any) -> Request:
    """The request of that name; raises `BadInput` where there is none."""
    request: Request = _read(Request, _file(folder, name, "request"))
    return request


def write_outcome(folder: Path, name: str, outcome: RunOutcome) -> None:
    """Say what became of that request."""
    replace(_file(folder, name, "outcome"), outcome.model_dump_json(indent=2).encode())


def read_outcome(folder: Path, name: str) -> RunOutcome | None:
    """What became of that request; None where its run did not come to the point of saying it."""
    file = _file(folder, name, "outcome")
    outcome: RunOutcome | None = _read(RunOutcome, file) if file.exists() else None
    return outcome


def _file(folder: Path, name: Any, what: str) -> Path:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadInput(f"the name of a request is a-z, 0-9 and -; got {name!r}")
    return folder / f"{name}.{what}.json"


def _read(model: Any, file: Path) -> Any:
    try:
        return model.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"there is no {file.name} in {file.parent}") from None
    except ValidationError as error:
        raise BadInput(f"{file}: {faults_of(error)}") from None
