"""Files of indexes: built once a checkpoint, and mapped into the memory of each server of the machine.

    <checkpoint id>.<kind>.<recall>.<way>/      the indexes of a checkpoint's shelves
        0.codes.npy, 0.rows.npy, ...            the lists of the first shelf, and so on
        indexes.json                            kinds and efforts, and the digest of every other file

They are made from a verified checkpoint and hold nothing else, so nobody signs them: who may write to the folder may
decide what is recommended. A folder is there whole or not at all; one that does not hold what it says is made anew.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from feature_store.durable import sync_folder, write_synced
from feature_store.errors import BadInput
from feature_store.registry_copies import RegistryCopies
from serving.indexes.int8 import Int8Index
from serving.indexes.inverted import InvertedIndex
from serving.indexes.item_index import ItemIndex
from serving.indexes.item_matrix import ItemMatrix
from serving.indexes.lists import Lists
from serving.indexes.shared_vectors import KEPT, drafted

_ARRAYS: dict[str, tuple[str, ...]] = {"exact": (), "int8": Lists._fields, "inverted": Lists._fields}
"""What an index of each kind has, an array a file."""


class IndexFiles:
    """The folder of index files; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folders = RegistryCopies(folder, KEPT)

    def find(self, name: str, matrices: Sequence[ItemMatrix]) -> list[ItemIndex | None] | None:
        """The indexes that were kept under that name, over these matrices, mapped; None where there are none."""
        folder = self._folders.find(name)
        if folder is None:
            return None
        try:
            said = json.loads((folder / "indexes.json").read_bytes())
            due = {file for number, one in enumerate(said["indexes"]) for file in _files(number, one["kind"]).values()}
            _require(folder, said["files"], due)
            found = [
                _opened(folder, number, one, matrix)
                for number, (one, matrix) in enumerate(zip(said["indexes"], matrices, strict=True))
            ]
        except Exception:  # noqa: BLE001 - whatever a damaged file raises, the index is made anew
            self._folders.forget(name)
            return None
        return found

    def keep(self, name: str, indexes: Sequence[ItemIndex | None]) -> None:
        """Write these indexes under that name; None stands for a shelf that needs none."""
        with drafted(self._folders.folder, name) as draft:
            said = [_written(draft, number, index) for number, index in enumerate(indexes)]
            digests = {file.name: _digest(file) for file in sorted(draft.iterdir())}
            write_synced(draft / "indexes.json", json.dumps({"indexes": said, "files": digests}).encode())
            sync_folder(draft)
            self._folders.keep(draft)


def _written(draft: Path, number: int, index: ItemIndex | None) -> dict[str, Any]:
    if not isinstance(index, Int8Index | InvertedIndex):
        return {"kind": "exact"}
    for name, file in _files(number, index.kind).items():
        np.save(draft / file, getattr(index.lists, name))
    return {"kind": index.kind, "effort": index.effort if isinstance(index, InvertedIndex) else None}


def _opened(folder: Path, number: int, said: dict[str, Any], matrix: ItemMatrix) -> ItemIndex | None:
    if said["kind"] == "exact":
        return None
    arrays = {
        name: np.asarray(np.load(folder / file, mmap_mode="r", allow_pickle=False))
        for name, file in _files(number, said["kind"]).items()
    }
    lists = Lists(**arrays)
    lists.require(matrix)
    return Int8Index(matrix, lists) if said["kind"] == "int8" else InvertedIndex(matrix, lists, int(said["effort"]))


def _files(number: int, kind: str) -> dict[str, str]:
    """By its array's name each file of the index with that number; raises `KeyError` for a kind that nobody knows."""
    return {name: f"{number}.{name}.npy" for name in _ARRAYS[kind]}


def _require(folder: Path, digests: dict[str, str], due: set[str]) -> None:
    """Raise `BadInput` unless digests are of the files that are due, and these are as they were written."""
    if digests.keys() != due:
        raise BadInput(f"{folder} says it has the files {sorted(digests)}; its indexes are in {sorted(due)}")
    for name, digest in digests.items():
        if _digest(folder / name) != digest:
            raise BadInput(f"{folder / name} is not as it was written")


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
