"""The checkpoint registry: a folder that training publishes to and serving reads.

    checkpoints/<id>/     published checkpoints; each came here by one rename, and is never changed
    drafts/               what is being written; nobody reads here, and leftovers of killed processes are removed
    stages.json           which checkpoint is in production, and which were before; replaced in one step
    lock                  held by whoever writes

Signing keys never stand here; who may publish is decided by the public keys that a reader has pinned.
"""

import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_store.checkpoint import Checkpoint, CheckpointDraft
from feature_store.checkpoint_reading import read_checkpoint, read_manifest
from feature_store.checkpoint_writing import write_checkpoint
from feature_store.durable import exclusive, remove_drafts, replace, sync_folder
from feature_store.errors import CorruptCheckpoint, NothingPromoted, UnknownCheckpoint
from feature_store.faults import faults_of
from feature_store.manifest import CheckpointId, CheckpointManifest
from feature_store.regular_file import read_regular
from feature_store.signing import SigningKey, TrustedKeys

_LARGEST_STAGES = 1 << 20  # bytes; the longest way back that is written takes a tenth of it
_LONGEST_WAY_BACK = 1000  # checkpoints; else the file would grow for ever, and one day be larger than is read


@dataclass(frozen=True, slots=True)
class Stages:
    """Which checkpoint answers requests, and those that did before it, oldest first: the way of a roll-back."""

    production: str | None = None
    previous: tuple[str, ...] = ()


class _StagesFile(BaseModel):
    """What stands in stages.json. It is not signed: nothing of it is believed that is not of this form."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    production: CheckpointId | None
    previous: tuple[CheckpointId, ...]


class Registry:
    """A registry in a local folder. The folder is made at the first publication.

    Killed at any moment, a writer leaves a registry in which every published checkpoint is whole and the
    production checkpoint is the old or the new one.
    """

    def __init__(self, folder: Path, trusted: TrustedKeys) -> None:
        self.folder = folder
        self._trusted = trusted
        self._checkpoints = folder / "checkpoints"
        self._drafts = folder / "drafts"
        self._stages = folder / "stages.json"
        self._lock = folder / "lock"

    def checkpoint_ids(self) -> list[str]:
        """Ids of all published checkpoints, in the order of their names."""
        if not self._checkpoints.is_dir():
            return []
        return sorted(folder.name for folder in self._checkpoints.iterdir() if folder.is_dir())

    def manifest(self, checkpoint_id: str) -> CheckpointManifest:
        """The verified manifest of a checkpoint; raises as `feature_store.checkpoint_reading.read_manifest`."""
        return read_manifest(self._folder_of(checkpoint_id), self._trusted)

    def load(self, checkpoint_id: str) -> Checkpoint:
        """A whole checkpoint, every byte verified; raises as `feature_store.checkpoint_reading.read_checkpoint`."""
        return read_checkpoint(self._folder_of(checkpoint_id), self._trusted)

    def publish(self, draft: CheckpointDraft, key: SigningKey) -> CheckpointManifest:
        """Add a checkpoint, whole or not at all. Publishing the same content again gives the one that is there."""
        if not self._checkpoints.is_dir():
            self._checkpoints.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        with exclusive(self._lock):
            shutil.rmtree(self._drafts, ignore_errors=True)
            folder = self._drafts / secrets.token_hex(8)
            folder.mkdir(parents=True)
            try:
                manifest = write_checkpoint(folder, draft, key)
                target = self._checkpoints / manifest.checkpoint_id
                if target.exists():
                    return self.manifest(manifest.checkpoint_id)
                folder.rename(target)
                sync_folder(self._checkpoints)
            finally:
                shutil.rmtree(self._drafts, ignore_errors=True)
        return manifest

    def stages(self) -> Stages:
        """The stages as they are now; raises `CorruptCheckpoint` where the file that holds them holds anything else."""
        try:
            found = _StagesFile.model_validate_json(read_regular(self._stages, _LARGEST_STAGES))
        except FileNotFoundError:
            return Stages()
        except ValidationError as error:
            raise CorruptCheckpoint(f"{self._stages} cannot be read: {faults_of(error)}") from error
        return Stages(found.production, found.previous)

    def production(self) -> str:
        """The id of the checkpoint in production; raises `NothingPromoted`."""
        production = self.stages().production
        if production is None:
            published = ", ".join(self.checkpoint_ids()) or "none"
            raise NothingPromoted(f"no checkpoint of {self.folder} is in production; published: {published}")
        return production

    def promote(self, checkpoint_id: str) -> Stages:
        """Put a checkpoint into production after reading and verifying all of it."""
        self.load(checkpoint_id)
        with exclusive(self._lock):
            now = self.stages()
            if now.production == checkpoint_id:
                return now
            previous = now.previous if now.production is None else (*now.previous, now.production)
            return self._write(Stages(checkpoint_id, previous[-_LONGEST_WAY_BACK:]))

    def roll_back(self) -> Stages:
        """Put the checkpoint before the present one back into production; raises `NothingPromoted`."""
        with exclusive(self._lock):
            now = self.stages()
            if not now.previous:
                raise NothingPromoted(f"no checkpoint of {self.folder} was in production before {now.production}")
            self.load(now.previous[-1])
            return self._write(Stages(now.previous[-1], now.previous[:-1]))

    def _write(self, stages: Stages) -> Stages:
        content = json.dumps({"production": stages.production, "previous": stages.previous}, indent=2)
        remove_drafts(self._stages)
        replace(self._stages, content.encode())
        return stages

    def _folder_of(self, checkpoint_id: str) -> Path:
        if checkpoint_id not in self.checkpoint_ids():
            raise UnknownCheckpoint(
                f"there is no checkpoint {checkpoint_id!r} in {self.folder}; "
                f"there are: {', '.join(self.checkpoint_ids()) or 'none'}"
            )
        return self._checkpoints / checkpoint_id
