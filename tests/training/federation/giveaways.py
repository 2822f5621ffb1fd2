"""Giveaways: numbers that are of one person or one cell, and where they stand in bytes, in whatever writing.

An array is found by any eight of its numbers that follow each other, as float16, float32 and float64 in either order
of bytes, and as decimals by two. One of which no eight tell anything, such as zeros and ones, is found as a whole, as
float32.

Each of these is a string of bytes. Hundreds of thousands of them are looked for at once, at every offset: eight bytes
of each, its anchor, in a sorted array, and where an anchor stands, the whole string.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_TOGETHER = 8  # numbers that follow each other
_TYPES = ("<f4", ">f4", "<f2", ">f2", "<f8", ">f8")
_DECIMAL = re.compile(rb"-?\d+\.\d{4,}(?:e-?\d+)?")
_ANCHOR = 8  # bytes


class _Place(NamedTuple):
    """Of an anchor in its string: how many bytes stand before it, and how many the string has."""

    before: int
    size: int


class Giveaways:
    """Arrays by name."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}  # by bytes that give it away
        self._decimals: dict[tuple[str, str], str] = {}

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Numbers that are to be found; those of which no eight tell anything are found as a whole."""
        flat = array.ravel()
        if np.issubdtype(flat.dtype, np.integer):
            self._add_windows(name, flat)
            return
        for kind in _TYPES:
            with np.errstate(over="ignore"):
                self._add_windows(name, flat.astype(kind))
        for one, other in pairwise(flat.tolist()):
            if not _is_round(one) and not _is_round(other):
                self._decimals[f"{one:.5e}", f"{other:.5e}"] = name

    def found_in(self, contents: Iterable[bytes]) -> set[str]:
        """The names of those that stand in any of these."""
        separate = bytes(_ANCHOR).join(contents)
        decimals = [f"{float(each):.5e}" for each in _DECIMAL.findall(separate)]
        told = {self._decimals[pair] for pair in pairwise(decimals) if pair in self._decimals}
        return told | set(self._in_bytes(separate))

    def _in_bytes(self, content: bytes) -> Iterator[str]:
        anchors = defaultdict[bytes, set[_Place]](set)
        for each in self._names:
            before = min(len(each) - len(each.lstrip(b"\0")), len(each) - _ANCHOR)  # zeros stand everywhere
            anchors[each[before : before + _ANCHOR]].add(_Place(before, len(each)))
        for here in _where(anchors, content):
            for before, size in anchors[content[here : here + _ANCHOR]]:
                if (name := self._names.get(content[max(0, here - before) : here - before + size])) is not None:
                    yield name

    def _add_windows(self, name: str, flat: NDArray[Any]) -> None:
        if len(flat) < _TOGETHER or not flat.any():
            return
        windows = np.sort(sliding_window_view(flat, _TOGETHER), axis=1)
        distinct = 1 + np.count_nonzero(np.diff(windows, axis=1), axis=1)
        tell = np.flatnonzero(windows.all(axis=1) & np.isfinite(windows).all(axis=1) & (distinct >= _TOGETHER - 2))
        for start in tell.tolist():
            self._names[flat[start : start + _TOGETHER].tobytes()] = name
        if not len(tell) and flat.dtype.itemsize == 4:
            self._names[flat.tobytes()] = name


def _is_round(number: float) -> bool:
    """Whether three digits say the same of it as six: 1, 0.75 and 0.99999997 are in many a text by themselves."""
    return float(f"{number:.2e}") == float(f"{number:.5e}")


def _where(anchors: Mapping[bytes, object], content: bytes) -> Iterator[int]:
    """Every offset at which one of the anchors begins."""
    if not anchors:
        return
    wanted = np.sort(np.frombuffer(b"".join(anchors), "<u8"))
    for shift in range(_ANCHOR):
        shifted = memoryview(content)[shift:]
        words = np.frombuffer(shifted[: len(shifted) // _ANCHOR * _ANCHOR], "<u8")
        nearest = np.minimum(np.searchsorted(wanted, words), len(wanted) - 1)
        yield from (shift + _ANCHOR * np.flatnonzero(wanted[nearest] == words)).tolist()
