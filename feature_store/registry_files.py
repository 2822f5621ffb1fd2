"""Where a registry stands: what it needs of a folder or of an object store, and nothing more.

Two places keep the same promises by other means: a local folder by renames, links and a lock
(`feature_store.registry_folder`), an object store by writing the manifest last and by writes that are made only where
there is nothing yet (`feature_store.registry_objects`).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from feature_store.stages import Entry


class RegistryFiles(Protocol):
    """The files of a registry. Nothing that comes out of here is verified yet.

    All raise `RegistryUnavailable` where the place cannot be reached, and `OSError` where this machine cannot.
    """

    @property
    def place(self) -> str:
        """What messages call it."""
        ...

    def checkpoint_ids(self) -> list[str]:
        """Names of all published checkpoints, in order; one that is being published is none of them yet."""
        ...

    def opened(self, checkpoint_id: str, *, whole: bool, fresh: bool = False) -> AbstractContextManager[Path]:
        """A local folder of that name with the files of a checkpoint, for the length of the block.

        whole: with all files that its manifest names; else the manifest and its signature are enough.
        fresh: as they lie there now, and no copy of earlier.
        """
        ...

    def forget(self, checkpoint_id: str) -> bool:
        """Let go of a local copy of a checkpoint; False where there was none, and opening it again is no use."""
        ...

    def add(self, write: Callable[[Path], str]) -> bool:
        """Publish what `write` puts into an empty folder, under the id that it returns; whole or not at all.

        False where that id is published already, and what was written is thrown away.
        """
        ...

    def age(self, checkpoint_id: str) -> float:
        """Seconds since a checkpoint was published here."""
        ...

    def remove(self, checkpoint_id: str) -> None:
        """Remove a checkpoint or what is left of one: from the first step on it is no longer published."""
        ...

    def leftovers(self, older_than: float) -> list[str]:
        """Ids under which files lie that were never wholly published, or not wholly removed; seconds."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Keep other writers of stages and checkpoints out for the length of the block, where the place can."""
        ...

    def newest(self) -> Entry:
        """The newest entry of the stages, its number filled in; `NO_ENTRY` where there is none.

        Raises:
            CorruptCheckpoint: what lies there is none.
        """
        ...

    def entry(self, number: int) -> Entry | None:
        """An earlier entry; None where it is not there, as for what an earlier Hearth did."""
        ...

    def add_entry(self, entry: Entry) -> bool:
        """Make that entry the newest in one step, if the one before it is the newest now; False if not."""
        ...
