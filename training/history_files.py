"""Histories on disk: a population that is larger than memory, written in pieces and read as it is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from feature_store.arrays import Int32Array, Int64Array
from feature_store.errors import BadInput
from training.histories import Histories

_ROWS, _LENGTHS = "rows.i4", "lengths.i4"  # both little-endian, without a header


class HistoryWriter:
    """Appends clients to the two files of a folder; made by `write_histories`."""

    def __init__(self, rows: BinaryIO, lengths: BinaryIO) -> None:
        self._rows, self._lengths = rows, lengths

    def append(self, rows: Int32Array, lengths: Int64Array) -> None:
        """Write the next clients: their rows one after the other, and how many each has.

        Raises:
            BadInput: the lengths do not add up to the rows.
        """
        if lengths.sum() != len(rows):
            raise BadInput(f"lengths that add up to {lengths.sum()} do not cut {len(rows)} rows into clients")
        self._rows.write(rows.astype("<i4").tobytes())
        self._lengths.write(lengths.astype("<i4").tobytes())


@contextmanager
def write_histories(folder: Path) -> Iterator[HistoryWriter]:
    """Write histories into a folder, which is made where it is not there; what it held of this kind is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _ROWS).open("wb") as rows, (folder / _LENGTHS).open("wb") as lengths:
        yield HistoryWriter(rows, lengths)


def open_histories(folder: Path) -> Histories:
    """The histories that `write_histories` left in a folder. In memory are their offsets, 8 bytes a client.

    Raises:
        BadInput: a file is missing, or the two do not belong together.
    """
    if missing := [name for name in (_ROWS, _LENGTHS) if not (folder / name).is_file()]:
        raise BadInput(f"{folder} holds no histories: {' and '.join(missing)} missing")
    lengths = np.fromfile(folder / _LENGTHS, dtype="<i4")
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    there = (folder / _ROWS).stat().st_size
    if there != 4 * offsets[-1]:
        raise BadInput(f"{folder / _ROWS} has {there} bytes and {_LENGTHS} tells of {offsets[-1]} rows of 4 bytes")
    if not there:
        return Histories(np.empty(0, np.int32), offsets)  # nothing cannot be mapped
    return Histories(np.memmap(folder / _ROWS, dtype="<i4", mode="r"), offsets)
