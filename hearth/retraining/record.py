"""The record of a retraining: all that its report shows, as one file of JSON, for programs and for later ones."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.errors import BadInput
from feature_store.faults import faults_of
from hearth.retraining.settings import RetrainingSettings
from training.federation.centre import JudgedBy, RunOutcome
from training.gate import Check
from training.run_log import RoundRecord

Decision: TypeAlias = Literal["promoted", "kept", "skipped", "failed"]
_STAMP = "%Y%m%dT%H%M%S"


class RetrainingRecord(BaseModel):
    """A retraining that came to its end, well or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    started: datetime
    seconds: float = Field(ge=0, description="from the start of the command to its end")
    decision: Decision
    why: str = Field(description="in a sentence; of a failure, the error")
    production: str | None = Field(default=None, description="what was in production before")
    candidate: str | None = Field(default=None, description="what was trained and published")
    checks: tuple[Check, ...] = Field(default=(), description="what the gate asked of the candidate")
    figures: Mapping[str, Mapping[str, float]] = Field(
        default_factory=dict, description="by candidate, production and popularity, of the same people"
    )
    judged_by: JudgedBy = Field(default="nothing", description="which held-out items judged")
    since: datetime | None = Field(default=None, description="when production's training had read the events")
    new_items: int = Field(default=0, description="items that people met since then")
    warm: bool = Field(default=False, description="whether training began with production's vectors")
    cells: tuple[str, ...] = ()
    secure_sums: bool = Field(default=False, description="whether the centre saw no cell's own sums")
    clients: int = 0
    missed: tuple[tuple[str, str, str], ...] = Field(default=(), description="what a cell had no part in, and why")
    restarts: tuple[str, ...] = Field(default=(), description="why the run was asked for again, each time")
    adopted: Mapping[str, int] = Field(default_factory=dict, description="people folded in anew")
    downlink_bytes: int = 0
    uplink_bytes: int = 0
    training_seconds: float = 0.0
    resumed_at: int = 0
    rounds: tuple[RoundRecord, ...] = ()
    settings: Mapping[str, Any] = Field(description="as `hearth retrain --config` takes them")

    @property
    def name(self) -> str:
        """Of its files, in the order of time."""
        return f"retraining-{self.started:{_STAMP}}-{self.started.microsecond:06}"

    @property
    def ended(self) -> datetime:
        """When it came to its end."""
        return self.started + timedelta(seconds=self.seconds)

    def to_bytes(self) -> bytes:
        """What stands in its file."""
        return (self.model_dump_json(indent=1) + "\n").encode()


def record_of(
    outcome: RunOutcome, settings: RetrainingSettings, started: datetime, seconds: float, restarts: tuple[str, ...]
) -> RetrainingRecord:
    """The record of a run that came to its end; raises `BadInput` where it was asked for no retraining."""
    told = outcome.retrained
    if told is None:
        raise BadInput(f"the run that made {outcome.checkpoint_id} was no retraining: no gate was asked")
    return RetrainingRecord(
        started=started,
        seconds=seconds,
        decision=told.decision,
        why=told.why,
        production=told.production,
        candidate=outcome.checkpoint_id,
        checks=told.checks,
        figures=told.figures,
        judged_by=told.judged_by,
        since=datetime.fromtimestamp(told.since, started.tzinfo) if told.since else None,
        new_items=told.new_items,
        warm=told.warm,
        cells=outcome.cells,
        secure_sums=outcome.secure_sums,
        clients=outcome.clients,
        missed=outcome.missed,
        restarts=restarts,
        adopted=outcome.adopted,
        downlink_bytes=outcome.downlink_bytes,
        uplink_bytes=outcome.uplink_bytes,
        training_seconds=outcome.training_seconds,
        resumed_at=outcome.resumed_at,
        rounds=outcome.log,
        settings=settings.model_dump(mode="json"),
    )


def failed(
    error: Exception, settings: RetrainingSettings, started: datetime, seconds: float, restarts: tuple[str, ...]
) -> RetrainingRecord:
    """The record of one that came to no decision."""
    return RetrainingRecord(
        started=started,
        seconds=seconds,
        decision="failed",
        why=f"{type(error).__name__}: {error}",
        restarts=restarts,
        settings=settings.model_dump(mode="json"),
    )


def read_retraining(file: Path) -> RetrainingRecord:
    """The record in that file; raises `BadInput` for what is none."""
    try:
        return RetrainingRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise BadInput(f"{file} is no record of a retraining: {faults_of(error)}") from None
