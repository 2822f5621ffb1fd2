"""The errors of Hearth, as one tree.

    HearthError
    ├── BadInput                  something handed to us is not acceptable; the message says what would be
    │   └── MalformedLine         ... and it stands in a line of a file
    ├── UnknownItem               an item id that the vocabulary does not hold
    ├── CheckpointError
    │   ├── UnknownCheckpoint     the registry holds no checkpoint of that id
    │   ├── CorruptCheckpoint     its bytes are not those its manifest names
    │   ├── UntrustedCheckpoint   nobody we trust has signed it
    │   ├── NothingPromoted       the registry has no checkpoint in production, or none to roll back to
    │   └── CorruptBundle         the bytes of an item bundle are not those that were signed
    ├── RegistryUnavailable       the place of a registry cannot be reached, or does not let us in
    ├── RegistryConflict          others are changing the same thing in a registry, again and again or just now
    ├── BundleMismatch            the changes of an item bundle met another bundle than the one they are to
    ├── CheckpointMismatch        a vector met the items of another checkpoint
    ├── StoreError                a local store cannot be used: it was written by a later Hearth, or
    │   ├── CorruptStore          ... its bytes are damaged, or no store of ours
    │   │   └── UnreadableItem    ... of one item of a catalogue; the others can be read
    │   ├── UnknownKey            ... it is encrypted with a key that is not at hand
    │   └── StoreUnavailable      ... it cannot be opened, read or written now: full, read-only, locked
    ├── StateMismatch             a saved training state belongs to another run
    ├── Diverged                  training has left the finite numbers
    └── DataUnavailable           no source had the data set

Each message names both sides of a disagreement. `str(error)` is meant for the person at the terminal; what
goes over HTTP is written by `serving.problems`, never copied from here.
"""

from pathlib import Path


class HearthError(Exception):
    """All that Hearth raises on purpose."""


class BadInput(HearthError):
    """Something handed to us is not acceptable."""


class MalformedLine(BadInput):
    """A line of a file is not what the file's format asks for."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path}, line {line}: {reason}")
        self.path, self.line, self.reason = path, line, reason


class UnknownItem(HearthError):
    """An item id that the vocabulary does not hold."""


class CheckpointError(HearthError):
    """A checkpoint cannot be used."""


class UnknownCheckpoint(CheckpointError):
    """The registry holds no checkpoint of that id."""


class CorruptCheckpoint(CheckpointError):
    """The bytes of a checkpoint are not those its manifest names."""


class UntrustedCheckpoint(CheckpointError):
    """Nobody we trust has signed the checkpoint."""


class NothingPromoted(CheckpointError):
    """The registry has no checkpoint in production, or none to roll back to."""


class CorruptBundle(CheckpointError):
    """The bytes of an item bundle are not those that were signed."""


class RegistryUnavailable(HearthError):
    """The place of a registry cannot be reached, or does not let us in."""


class RegistryConflict(HearthError):
    """Others are changing the same thing in a registry, again and again or just now."""


class BundleMismatch(HearthError):
    """The changes of an item bundle met another bundle than the one they are to."""


class CheckpointMismatch(HearthError):
    """A vector met the items of another checkpoint."""


class StoreError(HearthError):
    """A local store cannot be used."""


class CorruptStore(StoreError):
    """The bytes of a local store are damaged, or no store of ours."""


class UnreadableItem(CorruptStore):
    """One item of a catalogue is damaged, or was written by a later Hearth; the others can be read."""


class UnknownKey(StoreError):
    """A local store is encrypted with a key that is not at hand."""


class StoreUnavailable(StoreError):
    """A local store cannot be opened, read or written now."""


class StateMismatch(HearthError):
    """A saved training state belongs to another run."""


class Diverged(HearthError):
    """Training has left the finite numbers."""


class DataUnavailable(HearthError):
    """No source had the data set."""
