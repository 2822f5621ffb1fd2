"""The checkpoint registry: what training publishes to and serving reads, in a local folder or in an object store.

Checkpoints are published whole and never changed; which of them answers is a matter of stages
(`feature_store.stages`), whose changes are atomic and leave a trail. Where the files are, and by what means the place
keeps these promises, is `feature_store.registry_folder` and `feature_store.registry_objects`.

Signing keys never stand here; who may publish is decided by the public keys that a reader has pinned.
"""

import os
import pwd
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from feature_store.checkpoint import Checkpoint, CheckpointDraft
from feature_store.checkpoint_reading import read_checkpoint, read_manifest
from feature_store.checkpoint_writing import write_checkpoint
from feature_store.durable import sync_folder, write_synced
from feature_store.errors import (
    BadInput,
    CheckpointError,
    CorruptCheckpoint,
    NothingPromoted,
    RegistryConflict,
    UnknownCheckpoint,
)
from feature_store.manifest import CheckpointManifest
from feature_store.registry_collection import MOST_AT_ONCE, Collection, Rules, reasons_to_keep
from feature_store.registry_copies import RegistryCopies
from feature_store.registry_files import RegistryFiles
from feature_store.registry_folder import RegistryFolder
from feature_store.registry_objects import RegistryObjects
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.stages import Entry, Stage, Stages, Teller, promoted, rolled_back

_Read = TypeVar("_Read")
_ATTEMPTS = 30  # to be the first of several writers; one of them is first each time
_LONGEST_PAUSE = 0.25  # seconds between two attempts


class Registry:
    """A registry in a local folder, or at a URL such as s3://bucket/prefix.

    Killed at any moment, a writer leaves a registry in which every published checkpoint is whole and the
    production checkpoint is the old or the new one.

    place: the folder, which is made at the first publication, or the URL of a prefix in a bucket that is there.
    copies: where the whole checkpoints of an object store are kept on this machine; None fetches them each time.
    """

    def __init__(self, place: Path | str, trusted: TrustedKeys, copies: Path | None = None) -> None:
        self._trusted = trusted
        self._files: RegistryFiles
        if isinstance(place, str) and "://" in place:
            self._files = RegistryObjects(place, trusted, RegistryCopies(copies) if copies else None)
        else:
            self._files = RegistryFolder(Path(place))

    @property
    def place(self) -> str:
        """The folder or the URL, for messages."""
        return self._files.place

    @property
    def folder(self) -> Path:
        """The folder, for what else is kept beside checkpoints; raises `BadInput` for a registry in an object store."""
        if isinstance(self._files, RegistryFolder):
            return self._files.folder
        raise BadInput(f"this needs a registry in a folder, to keep files beside it; {self.place} is none")

    def checkpoint_ids(self) -> list[str]:
        """Ids of all published checkpoints, in the order of their names."""
        return self._files.checkpoint_ids()

    def manifest(self, checkpoint_id: str) -> CheckpointManifest:
        """The verified manifest of a checkpoint; raises as `feature_store.checkpoint_reading.read_manifest`."""
        return self._read(checkpoint_id, read_manifest, whole=False)

    def load(self, checkpoint_id: str, *, fresh: bool = False) -> Checkpoint:
        """A whole checkpoint, every byte verified; raises as `feature_store.checkpoint_reading.read_checkpoint`.

        fresh: as it lies in the registry now; a copy on this machine says nothing of what others will find there.
        """
        return self._read(checkpoint_id, read_checkpoint, whole=True, fresh=fresh)

    def publish(self, draft: CheckpointDraft, key: SigningKey) -> CheckpointManifest:
        """Add a checkpoint, whole or not at all. Publishing the same content again gives the one that is there."""
        written: list[CheckpointManifest] = []

        def write(folder: Path) -> str:
            written.append(write_checkpoint(folder, draft, key))
            return self._open_for(written[0].checkpoint_id)

        added = self._files.add(write)
        return written[0] if added else self.manifest(written[0].checkpoint_id)

    def copy(self, checkpoint_id: str, source: "Registry") -> CheckpointManifest:
        """Add a checkpoint of another registry as it was signed there, every byte verified; it needs no key."""
        with source._files.opened(source._known(checkpoint_id), whole=True) as folder:  # noqa: SLF001 - of this class
            manifest = read_checkpoint(folder, self._trusted).manifest

            def write(draft: Path) -> str:
                for name in (*manifest.files, "manifest.sig", "manifest.json"):
                    write_synced(draft / name, (folder / name).read_bytes())
                sync_folder(draft)
                return self._open_for(checkpoint_id)

            self._files.add(write)
        return self.manifest(checkpoint_id)

    def stages(self) -> Stages:
        """The stages as they are now; raises `CorruptCheckpoint` where what holds them holds anything else."""
        return self._files.newest().stages

    def production(self) -> str:
        """The id of the checkpoint in production; raises `NothingPromoted`."""
        production = self.stages().production
        if production is None:
            published = ", ".join(self.checkpoint_ids()) or "none"
            raise NothingPromoted(f"no checkpoint of {self.place} is in production; published: {published}")
        return production

    def promote(self, checkpoint_id: str, to: Stage = "production", *, who: str | None = None, why: str = "") -> Stages:
        """Put a checkpoint into a stage after reading and verifying all of it.

        to: "candidate" takes it out of the shadow.
        who, why: for the trail; without a name, the account that this process runs under.

        Raises:
            RegistryConflict: it is being removed, or other writers were first again and again.
        """
        self.load(checkpoint_id, fresh=True)
        teller = Teller(who or this_account(), why)

        def decide(now: Entry) -> Entry:
            self._open_for(self._known(checkpoint_id), now)  # a collection may have removed it by now
            after = promoted(now.stages, checkpoint_id, to)
            if after == now.stages:
                return now
            return now.followed_by(after, teller.moved(checkpoint_id, now.stages, to))

        return self._change(decide).stages

    def roll_back(self, *, who: str | None = None, why: str = "") -> Stages:
        """Put the checkpoint before the present one back into production; raises `NothingPromoted`."""
        teller = Teller(who or this_account(), why)

        def decide(now: Entry) -> Entry:
            after = rolled_back(now.stages, self.place)
            back = now.previous[-1]
            self.load(back, fresh=True)
            return now.followed_by(after, teller.moved(back, now.stages, "production", "roll back"))

        return self._change(decide).stages

    def audit(self, most: int = 100) -> list[Entry]:
        """The trail: the latest entries, the newest first; those that an earlier Hearth has not numbered are none."""
        last = self._files.newest().number or 0
        entries = (self._files.entry(number) for number in range(last, max(last - most, -1), -1))
        return [entry for entry in entries if entry is not None and (entry.number or entry.production)]

    def collect(self, rules: Rules, *, dry_run: bool = True, who: str | None = None, why: str = "") -> Collection:
        """Remove the checkpoints that nobody needs by these rules, or say which they are.

        What goes is written down first, and cannot be promoted from then on; so a promotion by somebody else comes
        before that and keeps its checkpoint, or after it and is refused. Killed half-way, the next collection ends it.
        """
        if dry_run:
            return self._collectable(self._files.newest(), rules)
        teller = Teller(who or this_account(), why)
        plans: list[Collection] = []

        def announce(now: Entry) -> Entry:
            plans.append(self._collectable(now, rules))
            removed = plans[-1].removed
            if not removed:
                return now  # where another was broken off, `finish` ends it
            left = Stages(now.production, tuple(name for name in now.previous if name not in removed), now.shadow)
            return now.followed_by(left, teller.removed("collect", removed), removing=removed)

        def finish(now: Entry) -> Entry:
            left = tuple(name for name in now.removing if name not in announced.removing)
            return now.followed_by(now.stages, teller.removed("collected", plans[-1].removed), removing=left)

        with self._files.alone():
            announced = self._attempt(announce)
            for name in plans[-1].removed:
                if not self._is_young(name, rules.grace):
                    self._files.remove(name)
            if announced.removing:
                self._attempt(finish)
        return plans[-1]

    def _collectable(self, now: Entry, rules: Rules) -> Collection:
        manifests: dict[str, CheckpointManifest] = {}
        ages = {}
        for name in self.checkpoint_ids():
            with suppress(FileNotFoundError):  # another collection was at work
                ages[name] = self._files.age(name)
                with suppress(CheckpointError):
                    manifests[name] = self.manifest(name)
        kept = reasons_to_keep(now, ages, manifests, rules)
        gone = sorted([*(ages.keys() - kept.keys()), *self._files.leftovers(rules.grace)])
        return Collection(kept, tuple(gone[:MOST_AT_ONCE]))

    def _is_young(self, checkpoint_id: str, grace: float) -> bool:
        """Whether the same content was published anew since the collection looked."""
        try:
            return self._files.age(checkpoint_id) < grace
        except FileNotFoundError:
            return False

    def _change(self, decide: Callable[[Entry], Entry]) -> Entry:
        with self._files.alone():
            return self._attempt(decide)

    def _attempt(self, decide: Callable[[Entry], Entry]) -> Entry:
        """Add the entry that `decide` makes of the newest, which it gives back where nothing is to change."""
        for attempt in range(_ATTEMPTS):
            now = self._files.newest()
            after = decide(now)
            if after is now or self._files.add_entry(after):
                return after
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.01 * 2**attempt)))  # noqa: S311 - not a secret
        raise RegistryConflict(
            f"the stages of {self.place} were changed by others {_ATTEMPTS} times while this change was tried"
        )

    def _open_for(self, checkpoint_id: str, now: Entry | None = None) -> str:
        """The same id; raises `RegistryConflict` where a collection has set out to remove it."""
        if checkpoint_id in (now or self._files.newest()).removing:
            raise RegistryConflict(
                f"{checkpoint_id} is being removed from {self.place}; where that was broken off, "
                "`hearth models collect --remove` ends it, and then it can be published again"
            )
        return checkpoint_id

    def _known(self, checkpoint_id: str) -> str:
        """The same id; raises `UnknownCheckpoint` where it is not published."""
        published = self.checkpoint_ids()
        if checkpoint_id not in published:
            raise UnknownCheckpoint(
                f"there is no checkpoint {checkpoint_id!r} in {self.place}; there are: {', '.join(published) or 'none'}"
            )
        return checkpoint_id

    def _read(
        self, checkpoint_id: str, read: Callable[[Path, TrustedKeys], _Read], *, whole: bool, fresh: bool = False
    ) -> _Read:
        self._known(checkpoint_id)
        try:
            with self._files.opened(checkpoint_id, whole=whole, fresh=fresh) as folder:
                return read(folder, self._trusted)
        except CorruptCheckpoint:
            if fresh or not self._files.forget(checkpoint_id):
                raise
        with self._files.opened(checkpoint_id, whole=whole) as folder:
            return read(folder, self._trusted)


def this_account() -> str:
    """The account that this process runs under, as user@machine.

    >>> "@" in this_account()
    True
    """
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
