"""Copies of checkpoints on the disk of a reader: of a registry far away each is fetched once.

A copy is verified every time it is read, as the original would be; so what happens to a copy is found out.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RegistryCopies:
    """The checkpoints used last, each in a folder with its id.

    folder: is made where it is not there; several processes may share it.
    most: how many are kept: the one that answers, the one before it, the one in the shadow, one that is being compared.
    """

    folder: Path
    most: int = 4

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def find(self, checkpoint_id: str) -> Path | None:
        """The copy of a checkpoint, where there is one; it counts as used now."""
        copy = self.folder / checkpoint_id
        try:
            os.utime(copy)
        except FileNotFoundError:
            return None
        return copy

    def keep(self, fetched: Path) -> Path:
        """Move a fetched folder of this file system in, and let the ones go that were used longest ago."""
        copy = self.folder / fetched.name
        with suppress(OSError):  # another process was first, and its copy is as good
            fetched.rename(copy)
        os.utime(copy)
        for old in self._by_use()[self.most :]:
            self.forget(old.name)
        return copy

    def forget(self, checkpoint_id: str) -> bool:
        """Remove a copy, or what is in its place; False where there is none."""
        copy = self.folder / checkpoint_id
        there = copy.is_dir()
        if there:
            shutil.rmtree(copy, ignore_errors=True)
        else:
            with suppress(OSError):
                copy.unlink()
        return there

    def _by_use(self) -> list[Path]:
        used: list[tuple[float, Path]] = []
        for copy in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process let it go
                if not copy.name.startswith("hearth-"):  # what is being fetched
                    used.append((copy.stat().st_mtime, copy))
        return [copy for _, copy in sorted(used, reverse=True)]
