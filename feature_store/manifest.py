"""The manifest of a checkpoint: what it is, what it was made from, and the digest of every file of it."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from feature_store.blend import BlendSettings
from feature_store.fold_in import FoldInSettings
from feature_store.row_ranges import RowRanges, item_count

FORMAT_VERSION = 2


CheckpointId: TypeAlias = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,79}$")]


class FileDigest(BaseModel):
    """What a file of the checkpoint must be, byte for byte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0, description="bytes")


class PrivacySpent(BaseModel):
    """The user-level (ε, δ) differential privacy that training has spent so far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epsilon: float = Field(gt=0, description="of all that was released about these people so far")
    delta: float = Field(gt=0, lt=1)
    run_epsilon: float | None = Field(default=None, gt=0, description="of what this training released")
    neighbours: str = Field(
        default="one person's whole history is there or is not; how many people there are is public",
        description="which data sets are not to be told apart",
    )
    released: Mapping[str, float] = Field(
        default_factory=dict,
        description="sums that this training released -> standard deviation of their noise, a person adding at most 1",
    )


class CheckpointManifest(BaseModel):
    """All that is known of a checkpoint without reading its arrays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    checkpoint_id: CheckpointId
    parent_id: str | None = Field(default=None, description="the checkpoint that training went on from")
    created: datetime
    round_number: int = Field(ge=0, description="the round of training that left these item vectors")
    dim: int = Field(ge=1, description="numbers in an item vector")
    catalogues: Mapping[str, RowRanges] = Field(description="vertical -> the rows of its items, as [first, after last]")
    fold_in: FoldInSettings
    blend: BlendSettings
    metrics: Mapping[str, float] = Field(default_factory=dict, description="on held-out validation items")
    privacy: PrivacySpent | None = Field(default=None, description="absent: trained without differential privacy")
    training: Mapping[str, str | int | float | bool] = Field(default_factory=dict, description="settings of the run")
    files: Mapping[str, FileDigest]

    @property
    def items(self) -> int:
        """Items of all catalogues together."""
        return sum(map(item_count, self.catalogues.values()))

    def to_bytes(self) -> bytes:
        """The bytes that are written and signed."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()


def derive_checkpoint_id(round_number: int, facts: Mapping[str, object], files: Mapping[str, FileDigest]) -> str:
    """An id that follows from the content: the same training published twice is one checkpoint.

    `facts` is what the files do not say but a reader depends on, such as the fold-in weights.
    """
    content = json.dumps([facts, {name: digest.sha256 for name, digest in files.items()}], sort_keys=True)
    return f"r{round_number:04d}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
