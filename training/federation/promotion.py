"""Promotion: written down before the registry is asked, so that of a run that is killed there the truth can be told.

The registry alone knows whether a promotion came about, and a run that was killed says nothing of it. So what the run
is going to say lies beside its request until it is said. Whoever asks for the same again finds it, and if the registry
has that checkpoint in production, it is what became of the run.
"""

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_store.durable import replace
from feature_store.errors import BadInput
from feature_store.faults import faults_of
from feature_store.registry import Registry
from training.federation.centre import Request, RunOutcome, read_outcome


class Promotion(BaseModel):
    """One that is about to be.

    name: of the request. outcome: what is to be said when the registry has done it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    request: Request
    outcome: RunOutcome


def announce(folder: Path, promotion: Promotion) -> None:
    """Write it down, in the folder of requests."""
    replace(_file(folder), promotion.model_dump_json(indent=2).encode())


def forget(folder: Path) -> None:
    """What became of the run is said."""
    _file(folder).unlink(missing_ok=True)


def came_about(folder: Path, request: Request, registry: Registry) -> RunOutcome | None:
    """What a run for the same request promoted before it was killed, and did not come to say; None where none did.

    A retraining goes by nothing that is older than the saved rounds that it would go on with.

    Raises:
        BadInput: the file that says so is damaged.
    """
    file = _file(folder)
    try:
        promotion = Promotion.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise BadInput(f"{file}: {faults_of(error)}; without this file a training begins anew") from None
    is_the_same = promotion.request.model_copy(update={"fresh": False}) == request
    is_said = read_outcome(folder, promotion.name) is not None
    is_old = request.retraining is not None and time.time() - file.stat().st_mtime > request.retraining.resume_seconds
    if not is_the_same or is_said or is_old:
        return None
    is_there = registry.stages().production == promotion.outcome.checkpoint_id
    return promotion.outcome if is_there else None


def _file(folder: Path) -> Path:
    return folder / "promotion.json"
