"""A registry in a local folder.

checkpoints/<id>/     published checkpoints; each came here by one rename, and is never changed
drafts/               what is being written or removed; nobody reads here, and leftovers are removed
stages.json           the newest entry of the stages; replaced in one step
audit/<number>.json   the entries before it; each is put here before stages.json is replaced
lock                  held by whoever writes
"""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from feature_store.durable import create, exclusive, remove_drafts, replace, sync_folder
from feature_store.errors import CorruptCheckpoint
from feature_store.faults import faults_of
from feature_store.regular_file import read_regular
from feature_store.stages import LARGEST_ENTRY, NO_ENTRY, Entry


@dataclass(frozen=True, slots=True)
class RegistryFolder:
    """As `feature_store.registry_files.RegistryFiles` has it. The folder is made at the first publication."""

    folder: Path

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    def checkpoint_ids(self) -> list[str]:
        """The folders below checkpoints/."""
        if not self._checkpoints.is_dir():
            return []
        return sorted(folder.name for folder in self._checkpoints.iterdir() if folder.is_dir())

    @contextmanager
    def opened(
        self,
        checkpoint_id: str,
        *,
        whole: bool,  # noqa: ARG002 - whole either way
        fresh: bool = False,  # noqa: ARG002 - there are no copies
    ) -> Iterator[Path]:
        """The published folder itself."""
        yield self._checkpoints / checkpoint_id

    def forget(self, checkpoint_id: str) -> bool:  # noqa: ARG002 - there are no copies
        """There is no copy."""
        return False

    def add(self, write: Callable[[Path], str]) -> bool:
        """Write a draft, each file of it synced, and rename it."""
        if not self._checkpoints.is_dir():
            self._checkpoints.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        with self._emptied_drafts() as drafts:
            draft = drafts / secrets.token_hex(8)
            draft.mkdir(parents=True)
            target = self._checkpoints / write(draft)
            if target.exists():
                return False
            draft.rename(target)
            sync_folder(self._checkpoints)
        return True

    def age(self, checkpoint_id: str) -> float:
        """By the clock of this machine, from the time that its folder was filled."""
        return time.time() - (self._checkpoints / checkpoint_id).stat().st_mtime

    def remove(self, checkpoint_id: str) -> None:
        """Rename it away, and remove it there. For whoever is `alone`."""
        self._drafts.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            (self._checkpoints / checkpoint_id).rename(self._drafts / secrets.token_hex(8))
            sync_folder(self._checkpoints)
        shutil.rmtree(self._drafts)

    def leftovers(self, older_than: float) -> list[str]:  # noqa: ARG002 - whatever its age, it is no checkpoint
        """None: they lie in drafts/, which every writer empties."""
        return []

    def alone(self) -> AbstractContextManager[None]:
        """The lock is let go when the process dies."""
        return exclusive(self.folder / "lock") if self.folder.is_dir() else nullcontext()

    def newest(self) -> Entry:
        """What stands in stages.json. Where nobody numbered it, it follows all that were numbered."""
        try:
            entry = _read(self._stages)
        except FileNotFoundError:
            return NO_ENTRY
        if entry.number is None:
            numbers = [int(path.stem) for path in self._audit.glob("[0-9]*.json") if path.stem.isdecimal()]
            return entry.model_copy(update={"number": max(numbers, default=-1) + 1})
        return entry

    def entry(self, number: int) -> Entry | None:
        """From audit/, or the newest one."""
        try:
            return _read(self._audit_file(number)).model_copy(update={"number": number})
        except FileNotFoundError:
            newest = self.newest()
            return newest if newest.number == number else None

    def add_entry(self, entry: Entry) -> bool:
        """Keep the present entry in audit/, then replace stages.json. For whoever is `alone`."""
        before = self.newest()
        if before.number is None or before.number + 1 != entry.number:
            return False
        if before is not NO_ENTRY:
            self._keep(before.number)
        remove_drafts(self._stages)
        replace(self._stages, entry.to_bytes())
        return True

    def _keep(self, number: int) -> None:
        """Killed after this, a writer leaves the same entry in both places, and the next one finds it here."""
        self._audit.mkdir(exist_ok=True)
        kept = self._audit_file(number)
        remove_drafts(kept)
        with suppress(FileExistsError):
            create(kept, read_regular(self._stages, LARGEST_ENTRY))
        sync_folder(self.folder)

    @contextmanager
    def _emptied_drafts(self) -> Iterator[Path]:
        with self.alone():
            shutil.rmtree(self._drafts, ignore_errors=True)
            try:
                yield self._drafts
            finally:
                shutil.rmtree(self._drafts, ignore_errors=True)

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def _drafts(self) -> Path:
        return self.folder / "drafts"

    @property
    def _stages(self) -> Path:
        return self.folder / "stages.json"

    @property
    def _audit(self) -> Path:
        return self.folder / "audit"

    def _audit_file(self, number: int) -> Path:
        return self._audit / f"{number:010}.json"


def _read(path: Path) -> Entry:
    try:
        return Entry.model_validate_json(read_regular(path, LARGEST_ENTRY))
    except ValidationError as error:
        raise CorruptCheckpoint(f"{path} cannot be read: {faults_of(error)}") from error
