"""Vectors that several processes share: a file of each checkpoint's, mapped into the memory of every server.

    <checkpoint id>.vectors/vectors.npy         float32 (items, numbers)

The kernel keeps what is mapped in memory once, however many servers read it. The file is compared with the verified
checkpoint before it is used, number for number, and written anew where it differs.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.durable import sync_folder
from feature_store.registry_copies import RegistryCopies

KEPT = 8
"""Folders that are kept, those used last: of two or three checkpoints, vectors and indexes."""

_DRAFT = "hearth-"  # names that `RegistryCopies` passes over


def shared_vectors(folder: Path, checkpoint_id: str, vectors: Float32Array) -> Float32Array:
    """These vectors, mapped from the file of that checkpoint, which is written where it is not there.

    Raises:
        OSError: it cannot be written.
    """
    folders, name = RegistryCopies(folder, KEPT), f"{checkpoint_id}.vectors"
    there = _mapped(folders, name)
    if there is not None and np.array_equal(there, vectors):
        return there
    folders.forget(name)
    with drafted(folder, name) as draft:
        np.save(draft / "vectors.npy", vectors)
        sync_folder(draft)
        folders.keep(draft)
    written = _mapped(folders, name)
    return vectors if written is None else written  # another server made room for its own in the meantime


@contextmanager
def drafted(folder: Path, name: str) -> Iterator[Path]:
    """A new folder of that name, to be moved in by `RegistryCopies.keep`; one that is not is gone with the block."""
    with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=folder) as within:
        draft = Path(within) / name
        draft.mkdir()
        yield draft


def _mapped(folders: RegistryCopies, name: str) -> Float32Array | None:
    folder = folders.find(name)
    if folder is None:
        return None
    try:
        mapped = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):  # it is not there, or no array
        return None
    # Seen as a plain array: rows of numpy's own class for maps take three times as long to take out.
    result: Float32Array = np.asarray(mapped)
    return result
