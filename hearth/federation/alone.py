"""Alone: two trainings of one federation exclude each other, whether `run` asks for one or `retrain`.

The lock is the operating system's: it is let go when its process dies, however it dies. Beside it stands who holds it,
for whoever finds it held, and for whoever finds it free with the note still there: that one was killed or failed, and
what it had asked for may still run.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_store.durable import exclusive, replace
from feature_store.errors import HearthError
from hearth.federation.control import Control
from training.federation.errors import FederationError
from training.federation.one_run import is_over

_LOG = logging.getLogger("hearth.federation")
ENDING_SECONDS = 120.0
"""How long a run that was stopped may take to end."""
_LOOK_SECONDS = 0.5


class AlreadyTraining(HearthError):
    """Another training of this federation is under way."""


class Owner(BaseModel):
    """Whose turn it is. run_id: of the run that it asked the SuperLink for last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    host: str
    started: datetime
    run_id: int | None = None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, started {self.started:%Y-%m-%d %H:%M:%S} UTC"


class Turn(NamedTuple):
    """Held by whoever trains.

    crashed: who held it before and did not come to its end, killed or by an error.
    began: to be told the number of each run that the SuperLink is asked for.
    """

    crashed: Owner | None
    began: Callable[[int], None]


@contextmanager
def alone(folder: Path) -> Iterator[Turn]:
    """Be the only one to train with that folder, the centre's.

    Raises:
        AlreadyTraining: somebody else does; it says who.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "retraining.json"
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(folder / "retraining.lock", wait=False))
        except BlockingIOError as error:
            raise AlreadyTraining(
                f"another training is under way in {folder}: {_owner(note) or 'it has not said whose yet'}"
            ) from error
        crashed = _owner(note)
        own = Owner(pid=os.getpid(), host=socket.gethostname(), started=datetime.now(UTC))
        _write(note, own)
        yield Turn(crashed, lambda run_id: _write(note, own.model_copy(update={"run_id": run_id})))
        note.unlink(missing_ok=True)  # after an error it stays: the run that was asked for may go on


def clean_up(control: Control, crashed: Owner, centre: Path, seconds: float = ENDING_SECONDS) -> None:
    """Stop what one that crashed had asked for, so that its saved rounds can be gone on with.

    Raises:
        FederationError: the run does not end.
    """
    _LOG.warning("the training of %s did not come to its end", crashed)
    if crashed.run_id is None:
        return
    until = time.monotonic() + seconds
    with suppress(FederationError):  # a SuperLink that was made anew does not know it
        if not control.state(crashed.run_id).is_finished:
            control.stop(crashed.run_id)
        while not control.state(crashed.run_id).is_finished and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
    if not is_over(centre, max(0.0, until - time.monotonic())):
        raise FederationError(f"run {crashed.run_id} was stopped {seconds:g} seconds ago and trains still")


def _write(note: Path, owner: Owner) -> None:
    replace(note, owner.model_dump_json(indent=1).encode())


def _owner(note: Path) -> Owner | None:
    try:
        return Owner.model_validate_json(note.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
