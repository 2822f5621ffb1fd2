"""The centre: a run as its operator asks for it, and what became of it. Both are files at the centre.

What an operator wants does not travel through Flower: whoever could start a run there would name files of the
centre's machine. A run's configuration holds the name of a request, and the request lies in the centre's folder.
"""

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.durable import replace
from feature_store.errors import BadInput
from feature_store.faults import faults_of
from training.run_log import RoundRecord
from training.settings import TrainingSettings

_NAME = re.compile("[a-z0-9][a-z0-9-]{0,63}")


class Request(BaseModel):
    """What a run is to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registry: Path = Field(description="where the checkpoint is published, and the state is saved")
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


class RunOutcome(BaseModel):
    """What became of a run. error: in a line; the rest is of a run that came to its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    error: str | None = None
    checkpoint_id: str | None = None
    rounds: int = 0
    published_round: int = 0
    resumed_at: int = 0
    converged: bool = False
    cells: tuple[str, ...] = ()
    clients: int = 0
    downlink_bytes: int = 0
    uplink_bytes: int = 0
    training_seconds: float = 0.0
    valid: dict[str, float] = Field(default_factory=dict)
    promoted: bool = False
    adopted: dict[str, int] = Field(default_factory=dict)
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
