"""Item vectors in a bundle: eight and a little bits a number, and of each row as many as its length deserves.

    q̂_i = s_i · c_i        |c_ij| ≤ 509        |p·q_i − p·q̂_i| ≤ (s_i / 2) · |p|_1

What rounding costs is the wrong items among the best. An item is among the best because its vector is long and lies
well, and its error is then s_i's. So all rows have one step s (uniform quantisation is nearly optimal where an entropy
coder follows: Gish and Pierce 1968), and not one that grows with the row, as is usual for the weights of a layer
(Krishnamoorthi 2018, section 2.3): long rows have more than 8 bits, short ones fewer, and 8.4 bits remain the mean.
Short rows have a smaller step where less than `LEAST` steps would be left of them: who has met nothing else is folded
in from these. Steps are 2^(n/4): a little more training mostly leaves them, and so what a device must fetch is small.

A code c = 4a + b − 2 is kept as a, an int8 that compresses, and b from 0 to 3, which does not: four of these a byte.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from feature_store.arrays import Float32Array, Int32Array
from feature_store.errors import BadInput

BITS = 8.4  # of a number, on average, after compression
LEAST = 80  # steps in the largest number of a row, at least
MOST = 509  # 4·127 + 1: the largest code on either side of which a is an int8 other than −128
_OCTAVE = 4  # steps come in quarters of it
_SMALLEST, _LARGEST = -480, 480  # quarters; 2^±120, so that all products are float32 numbers
_FINEST = 16 * _OCTAVE  # quarters below the coarsest step, where the search for the common one ends
_SAMPLE = 8192  # rows that the common step is chosen by
_BLOCK = 8192  # items scored at a time: 2 MiB of float32 at dim 64, whatever the catalogue
_SHARE = 4  # numbers whose b share a byte

Int16Array: TypeAlias = npt.NDArray[np.int16]
Int8Array: TypeAlias = npt.NDArray[np.int8]
UInt8Array: TypeAlias = npt.NDArray[np.uint8]

_STEPS: npt.NDArray[np.float64] = np.exp2(np.arange(_SMALLEST, _LARGEST + 1) / _OCTAVE)


class ItemCodes(NamedTuple):
    """Item vectors, rounded.

    coarse: a, shape (items, dim).
    fine: b − of number 4j + k in the bits 2k and 2k + 1 of byte j −, shape (items, ⌈dim / 4⌉).
    quarters: n of each row, whose step is 2^(n/4), int16, shape (items,).
    """

    coarse: Int8Array
    fine: UInt8Array
    quarters: Int16Array

    def codes(self) -> Int16Array:
        """c, shape (items, dim)."""
        return _joined(self.coarse, self.fine)

    def rows(self, rows: Int32Array) -> Float32Array:
        """Some of the vectors as they are meant, shape (len(rows), dim)."""
        steps = _steps(self.quarters[rows]).astype(np.float32)
        return _joined(self.coarse[rows], self.fine[rows]) * steps[:, None]

    def products(self, query: Float32Array) -> Float32Array:
        """The product of each item with the query, shape (items,)."""
        padded = np.zeros(_SHARE * self.fine.shape[1], np.float32)
        padded[: len(query)] = query
        products = np.empty(len(self.coarse), np.float32)
        for start in range(0, len(products), _BLOCK):
            block = slice(start, start + _BLOCK)
            products[block] = 4 * (self.coarse[block].astype(np.float32) @ query) - 2 * query.sum()
            for k in range(_SHARE):
                products[block] += (self.fine[block] >> 2 * k & 3).astype(np.float32) @ padded[k::_SHARE]
        return products * _steps(self.quarters).astype(np.float32)


def rounded(vectors: Float32Array) -> ItemCodes:
    """The vectors, shape (items, dim), rounded; raises `BadInput` beyond 2^126.

    >>> vectors = np.array([[1.27, -0.5, 0.004], [0, 0, 0]], np.float32)
    >>> float(np.abs(rounded(vectors).rows(np.array([0, 1], np.int32)) - vectors).max()) < 0.002
    True
    """
    tops = np.abs(vectors).max(axis=1, initial=0.0).astype(np.float64)
    if tops.max() >= 2.0**126:
        raise BadInput(f"numbers of an item vector in a bundle are below 2^126; got {tops.max():.3g}")
    quarters = _quarters(tops, _common(vectors, tops))
    return split(_codes(vectors, quarters), quarters)


def split(codes: Int16Array, quarters: Int16Array) -> ItemCodes:
    """Codes, as they are kept."""
    coarse = (codes + 2) >> 2
    fine = np.zeros((len(codes), -(-codes.shape[1] // _SHARE) * _SHARE), np.uint8)
    fine[:, : codes.shape[1]] = codes - 4 * coarse + 2
    packed = sum(fine[:, k::_SHARE] << 2 * k for k in range(_SHARE))
    return ItemCodes(coarse.astype(np.int8), np.asarray(packed, np.uint8), quarters)


def kept(coarse: Int8Array, fine: UInt8Array, quarters: Int16Array) -> ItemCodes:
    """What was kept, to be used again; raises `BadInput` for steps that there are not."""
    if len(quarters) and not _SMALLEST <= quarters.min() <= quarters.max() <= _LARGEST:
        raise BadInput(
            f"steps have quarters of an octave from {_SMALLEST} to {_LARGEST}; got {quarters.min()} to {quarters.max()}"
        )
    return ItemCodes(coarse, fine, quarters)


def fine_bytes(dim: int) -> int:
    """The bytes in a row of `fine`."""
    return -(-dim // _SHARE)


def _common(vectors: Float32Array, tops: npt.NDArray[np.float64]) -> int:
    """The finest common step, in quarters, at which a number has at most `BITS` bits."""
    every = -(-len(vectors) // _SAMPLE)
    some, their_tops = vectors[::every], tops[::every]
    coarsest = _floor_quarters(tops.max() / LEAST) if tops.max() > 0 else 0
    for quarter in range(coarsest, coarsest - _FINEST, -1):
        if _bits(_codes(some, _quarters(their_tops, quarter - 1))) > BITS:
            return quarter
    return coarsest - _FINEST


def _quarters(tops: npt.NDArray[np.float64], common: int) -> Int16Array:
    """The step of each row: the common one, or where its largest number asks for it a smaller or a larger one."""
    with np.errstate(divide="ignore"):
        octaves = np.log2(tops)
    most = np.floor(_OCTAVE * (octaves - np.log2(LEAST)))
    least = np.ceil(_OCTAVE * (octaves - np.log2(MOST)))
    chosen = np.where(tops > 0, np.clip(common, least, most), common)
    quarters: Int16Array = np.clip(chosen, _SMALLEST, _LARGEST).astype(np.int16)
    return quarters


def _floor_quarters(step: float) -> int:
    return int(np.floor(_OCTAVE * np.log2(step)))


def _codes(vectors: Float32Array, quarters: Int16Array) -> Int16Array:
    exact = vectors.astype(np.float64) / _steps(quarters)[:, None]
    codes: Int16Array = np.clip(np.rint(exact), -MOST, MOST).astype(np.int16)
    return codes


def _bits(codes: Int16Array) -> float:
    """Of a number: the entropy of a, which zlib comes near to, and two for b."""
    counts = np.bincount(((codes + 2) >> 2).reshape(-1) + 128)
    shares = counts[counts > 0] / codes.size
    return float(2 - shares @ np.log2(shares))


def _joined(coarse: Int8Array, fine: UInt8Array) -> Int16Array:
    unpacked = np.stack([fine >> 2 * k & 3 for k in range(_SHARE)], axis=2).reshape(len(fine), _SHARE * fine.shape[1])
    joined: Int16Array = 4 * coarse.astype(np.int16) + unpacked[:, : coarse.shape[1]].astype(np.int16) - 2
    return joined


def _steps(quarters: Int16Array) -> npt.NDArray[np.float64]:
    """What a code of 1 stands for in each row."""
    steps: npt.NDArray[np.float64] = _STEPS[quarters - _SMALLEST]
    return steps
