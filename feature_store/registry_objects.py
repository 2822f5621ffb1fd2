"""A registry in an object store, through fsspec; tried with S3 and s3fs.

    checkpoints/<id>/                    the arrays first, then manifest.<digest>.sig, then manifest.json
    stages/<number>.json                 an entry of the stages each; the highest number is how they are now
    conditional-writes                   an empty object, by which a writer finds out whether the store can do this

A checkpoint is published by the one object that comes last, and an entry of the stages is one object: each is written
on the condition that there is none of that name (If-None-Match: * in S3), so of two writers one is told that it was
second. Nothing that is published is ever written again. The signature has the digest of its manifest in its name, so
that two who publish the same arrays at once cannot mix the manifest of one with the signature of the other.
"""

import contextlib
import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from pydantic import ValidationError

from feature_store.checkpoint_reading import read_manifest
from feature_store.errors import BadInput, CorruptCheckpoint, RegistryUnavailable
from feature_store.faults import faults_of
from feature_store.registry_copies import RegistryCopies
from feature_store.signing import TrustedKeys
from feature_store.stages import LARGEST_ENTRY, NO_ENTRY, Entry

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:  # another store than S3: its errors are OSErrors, as fsspec asks for
    _FAILURES: tuple[type[Exception], ...] = (OSError,)
else:
    _FAILURES = (OSError, BotoCoreError, ClientError)

_MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 1 << 20  # bytes, as in `checkpoint_reading`
_LARGEST_SIGNATURE = 1 << 12
_CHECKPOINT = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")  # as `manifest.CheckpointId`; other names are none of ours
_FILE_NAME = re.compile(r"[a-z][a-z_]{0,40}\.(json|safetensors)")
# s3fs tries five times by itself, waiting up to a second; botocore's five inside each of them would be half a minute.
_OPTIONS: dict[str, Any] = {
    "s3": {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 2}, "connect_timeout": 5}},
}


class RegistryObjects:
    """As `feature_store.registry_files.RegistryFiles` has it.

    url: such as s3://bucket/prefix; how to get there (endpoint, credentials) is read from the environment as s3fs does.
    trusted: whose manifests say which files a checkpoint has.
    copies: where whole checkpoints are kept for the next time; None keeps none.

    Raises:
        BadInput: the url is not of this form, or what speaks its protocol is not installed.
    """

    def __init__(self, url: str, trusted: TrustedKeys, copies: RegistryCopies | None = None) -> None:
        protocol, _, path = url.partition("://")
        if not path.strip("/") or protocol in {"", "file", "local"}:
            raise BadInput(f"a registry in an object store is named as s3://bucket/prefix, or a folder; got {url!r}")
        try:
            self._files = fsspec.filesystem(
                protocol, use_listings_cache=False, skip_instance_cache=True, **_OPTIONS.get(protocol, {})
            )
        except (ImportError, ValueError) as error:
            raise BadInput(f"{url} cannot be opened: {error}; for s3:// install hearth-recommender[s3]") from error
        self.place = url.rstrip("/")
        self._root = path.strip("/")
        self._trusted = trusted
        self._copies = copies
        self._newest: Entry | None = None
        self._writes_conditionally = False

    def checkpoint_ids(self) -> list[str]:
        """Those with a manifest."""
        return sorted(name for name, objects in self._objects().items() if _MANIFEST in objects)

    @contextmanager
    def opened(self, checkpoint_id: str, *, whole: bool, fresh: bool = False) -> Iterator[Path]:
        """A copy; where nobody keeps copies it is gone after the block."""
        kept = self._copies.find(checkpoint_id) if self._copies else None
        if kept is not None and not fresh:
            yield kept
            return
        with tempfile.TemporaryDirectory(prefix="hearth-", dir=self._copies.folder if self._copies else None) as place:
            folder = Path(place) / checkpoint_id
            folder.mkdir()
            self._fetch(folder, whole=whole)
            yield self._copies.keep(folder) if self._copies and whole and kept is None else folder

    def forget(self, checkpoint_id: str) -> bool:
        """A copy that was damaged is fetched anew."""
        return self._copies is not None and self._copies.forget(checkpoint_id)

    def add(self, write: Callable[[Path], str]) -> bool:
        """Write it on this machine, then put the manifest last."""
        with tempfile.TemporaryDirectory(prefix="hearth-") as place:
            draft = Path(place)
            checkpoint_id = write(draft)
            at = self._checkpoint(checkpoint_id)
            self._require_conditional_writes()
            manifest = (draft / _MANIFEST).read_bytes()
            with self._reached():
                if self._files.exists(f"{at}/{_MANIFEST}"):
                    return False
                for file in sorted(draft.iterdir()):
                    if file.name not in {_MANIFEST, "manifest.sig"}:
                        self._files.pipe_file(f"{at}/{file.name}", file.read_bytes())
                self._files.pipe_file(f"{at}/{_signature_of(manifest)}", (draft / "manifest.sig").read_bytes())
            return self._create(f"{at}/{_MANIFEST}", manifest)

    def age(self, checkpoint_id: str) -> float:
        """By the clocks of the store and of this machine, from the time that the manifest was put there."""
        return self._age([f"{self._checkpoint(checkpoint_id)}/{_MANIFEST}"])

    def remove(self, checkpoint_id: str) -> None:
        """The manifest first."""
        at, objects = self._checkpoint(checkpoint_id), self._objects().get(checkpoint_id, [])
        with self._reached():
            for name in sorted(objects, key=lambda name: name != _MANIFEST):
                self._files.rm_file(f"{at}/{name}")

    def leftovers(self, older_than: float) -> list[str]:
        """Those without a manifest whose latest file is older."""
        return [
            checkpoint_id
            for checkpoint_id, names in self._objects().items()
            if _MANIFEST not in names
            and self._age([f"{self._checkpoint(checkpoint_id)}/{name}" for name in names]) > older_than
        ]

    def alone(self) -> AbstractContextManager[None]:
        """Nobody can be kept out of an object store; `add_entry` tells who was second."""
        return contextlib.nullcontext()

    def newest(self) -> Entry:
        """The entry of the highest number: listed once, then looked for beyond the last one that was seen."""
        if self._newest is None:
            with self._reached():
                listed = [PurePosixPath(path).stem for path in self._files.find(f"{self._root}/stages")]
            highest = max((int(stem) for stem in listed if stem.isdecimal()), default=0)
            self._newest = self.entry(highest) or NO_ENTRY
        while (entry := self.entry((self._newest.number or 0) + 1)) is not None:
            self._newest = entry
        return self._newest

    def entry(self, number: int) -> Entry | None:
        """One object."""
        at = self._entry(number)
        try:
            content = self._read(at, LARGEST_ENTRY)
        except FileNotFoundError:
            return None
        try:
            entry = Entry.model_validate_json(content)
        except ValidationError as error:
            raise CorruptCheckpoint(f"{at} cannot be read: {faults_of(error)}") from error
        if entry.number != number:
            raise CorruptCheckpoint(f"{at} holds the stages after change {entry.number}")
        return entry

    def add_entry(self, entry: Entry) -> bool:
        """One object, where there is none of that number yet."""
        self._require_conditional_writes()
        return self._create(self._entry(entry.number or 0), entry.to_bytes())

    def _create(self, at: str, content: bytes) -> bool:
        """Whether the object was put by us; an answer that was lost on the way back had us try twice."""
        try:
            with self._reached():
                self._files.pipe_file(at, content, mode="create")
        except FileExistsError:
            try:
                return self._read(at, len(content)) == content
            except (FileNotFoundError, CorruptCheckpoint):  # gone, or larger: not ours
                return False
        return True

    def _require_conditional_writes(self) -> None:
        """A store that writes over what is there would lose the change of one of two writers, and say nothing."""
        at = f"{self._root}/conditional-writes"
        for _ in range(1 if self._writes_conditionally else 2):
            try:
                with self._reached():
                    self._files.pipe_file(at, b"", mode="create")
            except FileExistsError:
                self._writes_conditionally = True
                return
            if self._writes_conditionally:  # somebody has removed it; it was put there again
                return
        raise RegistryUnavailable(
            f"{self.place} wrote over an object when it was told to write a new one alone (If-None-Match: *); "
            "promotions would get lost in a store that cannot do this"
        )

    def _fetch(self, folder: Path, *, whole: bool) -> None:
        at = self._checkpoint(folder.name)
        try:
            manifest = self._read(f"{at}/{_MANIFEST}", _LARGEST_MANIFEST)
            (folder / _MANIFEST).write_bytes(manifest)
            (folder / "manifest.sig").write_bytes(self._read(f"{at}/{_signature_of(manifest)}", _LARGEST_SIGNATURE))
            if not whole:
                return
            for name, digest in read_manifest(folder, self._trusted).files.items():
                if not _FILE_NAME.fullmatch(name):
                    raise CorruptCheckpoint(f"the manifest of {folder.name} names a file {name!r}")
                (folder / name).write_bytes(self._read(f"{at}/{name}", digest.size))
        except FileNotFoundError as error:
            raise CorruptCheckpoint(f"checkpoint {folder.name} of {self.place} is not whole: {error}") from error

    def _read(self, at: str, most_bytes: int) -> bytes:
        """An object; raises `FileNotFoundError`, and `CorruptCheckpoint` for a larger one."""
        with self._reached():
            content: bytes = self._files.cat_file(at, start=0, end=most_bytes + 1)
        if len(content) > most_bytes:
            raise CorruptCheckpoint(f"{at} has more than the {most_bytes} bytes that it should have at most")
        return content

    def _objects(self) -> dict[str, list[str]]:
        """The names of the objects below checkpoints/, by checkpoint."""
        root = f"{self._root}/checkpoints"
        with self._reached():
            found = self._files.find(root)
        objects: dict[str, list[str]] = {}
        for path in found:
            parts = PurePosixPath(path.lstrip("/")).relative_to(root).parts
            if len(parts) == 2 and _CHECKPOINT.fullmatch(parts[0]):
                objects.setdefault(parts[0], []).append(parts[1])
        return objects

    def _age(self, paths: list[str]) -> float:
        with self._reached():
            latest: float = max(self._files.modified(path).timestamp() for path in paths)
        return time.time() - latest

    def _checkpoint(self, checkpoint_id: str) -> str:
        return f"{self._root}/checkpoints/{checkpoint_id}"

    def _entry(self, number: int) -> str:
        return f"{self._root}/stages/{number:010}.json"

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """`RegistryUnavailable` for what the store does not do; that an object is there, or is not, is an answer."""
        try:
            yield
        except _FAILURES as error:
            code = _code_of(error)
            if code in {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}:
                raise FileExistsError(str(error)) from error
            if isinstance(error, FileExistsError) or (isinstance(error, FileNotFoundError) and code != "NoSuchBucket"):
                raise
            raise RegistryUnavailable(
                f"the registry {self.place} cannot be used now: {code or type(error).__name__}: {error}"
            ) from error


def _signature_of(manifest: bytes) -> str:
    return f"manifest.{hashlib.sha256(manifest).hexdigest()[:16]}.sig"


def _code_of(error: BaseException) -> str:
    """What S3 calls the failure; "" where it was not S3 that said it."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
