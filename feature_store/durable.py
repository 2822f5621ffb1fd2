"""Files that are there whole or not at all, whatever moment the process or the machine stops at."""

import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_synced(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a new file and return when it is on the disk. The file must not exist yet.

    Raises:
        OSError: with the name of the file, also where the system gives none, as for a full disk.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(path)
        raise


def create(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put a new file there, whole or not at all; raises `FileExistsError` where there is one already."""
    draft = _draft_of(path)
    try:
        write_synced(draft, content, mode)
        path.hardlink_to(draft)  # unlike a rename, never over a file that is there
    except OSError as error:
        _name(error, path)
        raise
    finally:
        with suppress(NotADirectoryError):  # where the path goes through a file, there is no draft either
            draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def replace(path: Path, content: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Put the content in the place of the file: a reader sees the old bytes or the new ones, never a part.

    owner: numbers of the user and the group that the file is to be of; else those of this process.
    """
    draft = _draft_of(path)
    try:
        write_synced(draft, content, mode)
        if owner is not None:
            draft.chmod(mode)  # whatever the umask
            os.chown(draft, *owner)
        draft.replace(path)
    except BaseException as error:
        if isinstance(error, OSError):
            _name(error, path)
        with suppress(NotADirectoryError):
            draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_drafts(path: Path) -> None:
    """Remove what killed writers of that file have left. For whoever alone may write it, as under `exclusive`."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*"):
        draft.unlink()


def sync_folder(folder: Path) -> None:
    """Return when the folder's entries (new names, renames) are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file alone; it is let go when the block ends or the process dies, whichever is first.

    wait: until whoever holds it lets go; otherwise `BlockingIOError` is raised at once.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_file(path: Path) -> Iterator[os.stat_result]:
    """Hold a file that is there alone, so that it may be read and replaced; what is known of it.

    Whoever waited while it was replaced goes on with the one that is there now.
    """
    while True:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            held = os.fstat(file.fileno())
            if os.path.samestat(held, path.stat()):
                yield held
                return


def _name(error: OSError, path: Path) -> None:
    """Let the error name what was asked for, and not the draft."""
    error.filename = str(path)
    del error.filename2  # None would be shown


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")
