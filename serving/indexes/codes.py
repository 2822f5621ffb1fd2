"""Codes: item vectors at eight bits a number, as FAISS keeps them, and what its searches need from us.

FAISS is quick where a code is a multiple of 16 numbers long (its AVX-512 loops take 16 at a time, and others go number
by number): vectors and queries are filled up with zeros, which change no product.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from feature_store.arrays import BoolArray, Float32Array, Int32Array, Int64Array

faiss: Any = import_module("faiss")  # its stubs describe the C++ beneath, and not what Python is given

_AT_A_TIME = 16  # numbers
_NEARLY_ALL = 0.75
_BLOCK = 65_536  # rows that are filled up at one time


def one_thread() -> None:
    """Let FAISS search in the thread that calls, which OpenMP has to be told in each.

    A search for one query has nothing to share out, and a team of threads that wait for it costs more than it.
    """
    faiss.omp_set_num_threads(1)


def code_dim(dim: int) -> int:
    """How many numbers a code of that many numbers has."""
    return -(-dim // _AT_A_TIME) * _AT_A_TIME


def filled_up(vectors: Float32Array) -> Float32Array:
    """These vectors with zeros behind them, shape (n, code_dim(dim)), contiguous."""
    items, dim = vectors.shape
    wide = code_dim(dim)
    if wide == dim:
        return np.ascontiguousarray(vectors)
    result = np.zeros((items, wide), np.float32)
    result[:, :dim] = vectors
    return result


def add_all(
    index: Any, vectors: Float32Array, between: Callable[[], None] = lambda: None, lists: Int64Array | None = None
) -> None:
    """Add the vectors to a FAISS index that is trained, block by block: no second matrix is ever in memory.

    between: called after each block.
    lists: of an inverted file, which list each vector belongs in, shape (n,).
    """
    for first in range(0, len(vectors), _BLOCK):
        block = filled_up(vectors[first : first + _BLOCK])
        if lists is None:
            index.add(block)
        else:
            index.add_core(len(block), faiss.swig_ptr(block), None, faiss.swig_ptr(lists[first : first + _BLOCK]))
        between()


def selector(eligible: BoolArray) -> Any:
    """What lets a search pass over what is not eligible. FAISS keeps no reference to it: the caller has to."""
    return faiss.IDSelectorBitmap(np.packbits(eligible, bitorder="little"))


def fetched(k: int, there: int) -> int:
    """How many items are taken by their codes, of those that are there, for the k best of them to be among.

    Eight bits change products by less than what lies between the 10th and the 50th of 100,000 clustered items.
    """
    return min(there, k + max(40, k // 4))


def best_eligible(search: Callable[[int, Any], Int64Array], wanted: int, eligible: BoolArray, there: int) -> Int32Array:
    """The rows that a search by codes thinks best, of those that are eligible, ascending; `wanted` or some more.

    To ask of each code whether it may be found takes as long as to score it. Where nearly all may, some more are taken
    and those that may not are left out afterwards.

    search: labels of so many, with a selector or None.
    there: how many are eligible.
    """
    items = len(eligible)
    if there == items:
        return found(search(wanted, None))
    if there >= _NEARLY_ALL * items:
        more = min(items, int(1.2 * wanted * items / there) + 16)
        rows = found(search(more, None))
        kept: Int32Array = rows[eligible[rows]]
        if len(kept) >= wanted or len(rows) < more:  # the latter: there are no more
            return kept
    only = selector(eligible)
    return found(search(wanted, only))


def found(labels: Int64Array) -> Int32Array:
    """The rows among the labels of a search, ascending; -1 stands where fewer were found than asked for."""
    rows = labels.ravel()
    return np.sort(rows[rows >= 0]).astype(np.int32)
