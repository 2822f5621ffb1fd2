"""The log of rounds: what a run that was stopped and gone on with has to tell of all its rounds.

One JSON object a line, written before the state of its round is saved: whatever moment the process stops at, the
log has at least the rounds of the state. `keep` drops what it has beyond them.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.durable import remove_drafts, replace
from training.evaluation import Quality
from training.loop import RoundReport


class RoundRecord(BaseModel):
    """What is kept of a round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    round_number: int = Field(ge=1)
    finished: datetime
    cohort: int = Field(ge=1, description="clients that took part")
    loss: float = Field(allow_inf_nan=False, description="mean local loss, before the step")
    ndcg: float | None = Field(default=None, ge=0, le=1, description="at 20, on validation items, after the step")
    recall: float | None = Field(default=None, ge=0, le=1, description="at 20, likewise")
    seconds: float = Field(ge=0, allow_inf_nan=False, description="of training, evaluation apart")
    uplink_bytes_per_client: int = Field(ge=0)

    @classmethod
    def of(cls, report: RoundReport, quality: Quality | None, finished: datetime) -> "RoundRecord":
        """The record of a round with that report and that quality on the validation items, where it was judged."""
        return cls(
            round_number=report.round_number,
            finished=finished,
            cohort=report.cohort,
            loss=report.loss,
            ndcg=quality.ndcg if quality else None,
            recall=quality.recall if quality else None,
            seconds=report.seconds,
            uplink_bytes_per_client=report.uplink_bytes_per_client,
        )

    @property
    def clients_per_second(self) -> float:
        """Client updates in a second of training; 0 where the clock saw no time pass."""
        return self.cohort / self.seconds if self.seconds else 0.0


def append(path: Path, record: RoundRecord) -> None:
    """Add a round, and return when it is on the disk.

    Raises:
        OSError: with the name of the file, also where the system gives none, as for a full disk.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(path)
        raise


def keep(path: Path, rounds: int) -> tuple[RoundRecord, ...]:
    """The rounds up to that one, oldest first; the file is left with just those, or removed where there is none.

    A line that is not of this form, such as the half of one that a killed process has left, counts for nothing.
    """
    remove_drafts(path)
    kept = [record for record in _records(path) if record.round_number <= rounds]
    if kept:
        replace(path, b"".join(map(_line, kept)))
    else:
        path.unlink(missing_ok=True)
    return tuple(kept)


def missing_rounds(records: Sequence[RoundRecord], rounds: int) -> list[int]:
    """The rounds of 1 to `rounds` that have no record: of a state whose log was lost."""
    return sorted(set(range(1, rounds + 1)) - {record.round_number for record in records})


def _records(path: Path) -> list[RoundRecord]:
    by_round: dict[int, RoundRecord] = {}
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            record = RoundRecord.model_validate_json(line)
        except ValidationError:
            continue
        by_round[record.round_number] = record
    return [by_round[number] for number in sorted(by_round)]


def _line(record: RoundRecord) -> bytes:
    return record.model_dump_json().encode() + b"\n"
