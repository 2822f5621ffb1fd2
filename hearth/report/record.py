"""The record of a run, run.json: all that its report shows, for the reports of later runs and for programs.

Unlike a checkpoint it is not signed: nothing of it is believed that is not of this form, and nothing is served from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.machine import provenance
from feature_store.errors import CheckpointError, CorruptCheckpoint
from feature_store.faults import faults_of
from feature_store.manifest import CheckpointId, CheckpointManifest
from feature_store.registry import Registry
from feature_store.regular_file import read_regular
from training.quality_groups import QualityGroups
from training.run_log import RoundRecord, missing_rounds
from training.split_statistics import SplitStatistics

_LARGEST = 1 << 26  # bytes; a round takes about 200 of them

Setting = str | int | float | bool | None


class RunRecord(BaseModel):
    """A finished run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    checkpoint_id: CheckpointId
    parent_id: CheckpointId | None = Field(description="the checkpoint that the report compares with")
    created: datetime = Field(description="when the checkpoint was published")
    catalogues: Mapping[str, int] = Field(description="vertical -> number of its items")
    round_number: int = Field(ge=0, description="the round that was published")
    rounds_done: int = Field(ge=0)
    converged: bool = Field(description="whether training stopped by itself, and not at its round limit")
    rounds: tuple[RoundRecord, ...]
    uplink_bytes_once: int = Field(default=0, ge=0, description="what each client sent after the rounds, once")
    metrics: Mapping[str, float] = Field(description="on the validation items; those of the manifest")
    groups: QualityGroups | None = Field(description="on the validation items; absent where there are none")
    statistics: SplitStatistics
    facts: Mapping[str, Setting] = Field(description="what the numbers follow from, flat; rounds and patience besides")
    training_settings: Mapping[str, Any] = Field(description="as `hearth train --config` takes them")
    machine: Mapping[str, Setting] = Field(default_factory=provenance)

    @property
    def seconds(self) -> float:
        """Of training, evaluation apart, in all rounds that are on record."""
        return sum(record.seconds for record in self.rounds)

    @property
    def uplink_bytes(self) -> int:
        """What a client has sent that took part in every round on record, and after them."""
        return sum(record.uplink_bytes_per_client for record in self.rounds) + self.uplink_bytes_once

    @property
    def missing_rounds(self) -> list[int]:
        """Rounds that were done and are not on record."""
        return missing_rounds(self.rounds, self.rounds_done)

    def to_bytes(self) -> bytes:
        """What stands in run.json."""
        return (self.model_dump_json(indent=1) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Parent:
    """The run that a report compares with.

    manifest: of its checkpoint, verified.
    record: of the run; without it, figures can be compared and curves cannot.
    note: why there is none.
    """

    manifest: CheckpointManifest
    record: RunRecord | None
    note: str = ""

    @property
    def facts(self) -> Mapping[str, Setting]:
        """What its numbers follow from, flat."""
        return self.record.facts if self.record else self.manifest.training


def read_record(path: Path) -> RunRecord:
    """The record that stands in a file.

    Raises:
        FileNotFoundError: there is none.
        CorruptCheckpoint: it is no record of this format, or far too large for one.
    """
    try:
        return RunRecord.model_validate_json(read_regular(path, _LARGEST))
    except ValidationError as error:
        raise CorruptCheckpoint(f"{path} is no record of a run: {faults_of(error)}") from error


def find_parent(registry: Registry, manifest: CheckpointManifest) -> Parent | None:
    """What to compare a checkpoint with: its parent, else the newest one published before it for the same verticals.

    None where it is the first. A checkpoint that cannot be read is passed over.
    """
    earlier = []
    for checkpoint_id in registry.checkpoint_ids():
        if checkpoint_id == manifest.checkpoint_id:
            continue
        try:
            other = registry.manifest(checkpoint_id)
        except CheckpointError:
            continue
        is_parent = other.checkpoint_id == manifest.parent_id
        is_before = other.created <= manifest.created and other.catalogues.keys() == manifest.catalogues.keys()
        if is_parent or is_before:
            earlier.append((is_parent, other.created, other))
    if not earlier:
        return None
    *_, found = max(earlier, key=lambda entry: entry[:2])
    try:
        record = read_record(runs_folder(registry) / found.checkpoint_id / RECORD)
    except FileNotFoundError:
        return Parent(found, None, "its run left no record here")
    except (CorruptCheckpoint, OSError) as error:
        return Parent(found, None, f"its record cannot be used: {error}")
    return Parent(found, record)


RECORD = "run.json"


def runs_folder(registry: Registry) -> Path:
    """Where the runs of a registry are, each in a folder with its checkpoint's id."""
    return registry.folder / "runs"
