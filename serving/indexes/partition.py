"""Partition: which items lie together in a list of the inverted index, so that few lists hold what a query wants.

What is wanted of two items of one list is that queries score them alike. Over queries q, the mean square of the
difference of two items' products is

    E[(q·x − q·x')²] = (x − x')ᵀ E[q qᵀ] (x − x')

the square of the distance between Wx and Wx', W being the root of E[q qᵀ]. So k-means (Lloyd 1982) runs on Wx: a number
that every query weighs, as popularity is one, counts for more than one that none looks at, whatever its range.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from feature_store.arrays import Float32Array, Int64Array

faiss: Any = import_module("faiss")  # its stubs describe the C++ beneath, and not what Python is given

_ROWS_A_LIST = 64  # that k-means looks at
_ROUNDS = 10  # of k-means; further ones change little
_LEAST = 1e-3  # of the mean weight of a direction: queries that nobody has asked yet may look where none did
_BLOCK = 65_536  # rows that are taken at one time


def one_thread() -> None:
    """Let FAISS work in the thread that calls, which OpenMP has to be told in each: others answer requests."""
    faiss.omp_set_num_threads(1)


def partition(
    vectors: Float32Array, queries: Float32Array, count: int, seed: int, between: Callable[[], None]
) -> Int64Array:
    """The number of the list of each item, from 0 to count - 1, shape (items,). A list may be empty.

    Args:
        vectors: of the items, shape (items, dim).
        queries: as they will be asked, shape (n, dim), at least one.
        count: lists, at most as many as items.
        seed: of which items k-means looks at, and where it begins.
        between: called after each part of the work, a second or so of it; what it raises ends the work.
    """
    one_thread()
    weighing = _root_of_mean_square(queries)
    looked_at = np.random.default_rng(seed).permutation(len(vectors))[: count * _ROWS_A_LIST]
    sample = vectors[np.sort(looked_at)] @ weighing
    kmeans = faiss.Kmeans(vectors.shape[1], count, niter=1, seed=seed, min_points_per_centroid=1)
    centroids = None
    for _ in range(_ROUNDS):
        kmeans.train(sample, init_centroids=centroids)
        centroids = kmeans.centroids
        between()
    numbers = np.empty(len(vectors), np.int64)
    for first in range(0, len(vectors), _BLOCK):
        _, nearest = kmeans.index.search(vectors[first : first + _BLOCK] @ weighing, 1)
        numbers[first : first + _BLOCK] = nearest[:, 0]
        between()
    return numbers


def _root_of_mean_square(queries: Float32Array) -> Float32Array:
    """W, symmetric, shape (dim, dim); its mean weight is 1, so that lengths stay numbers of 32 bits.

    What few queries say of how two numbers go together is mostly chance: n queries of d numbers count n/(n + d) there
    (shrinkage towards the diagonal; Schäfer and Strimmer 2005, target D, with a weight of ours).
    """
    wide = queries.astype(np.float64)
    scale = np.abs(wide).max()
    if not scale:  # nobody asks for anything
        return np.eye(queries.shape[1], dtype=np.float32)
    wide /= scale
    asked, dim = wide.shape
    square = wide.T @ wide
    alone = np.diag(np.diag(square))
    weights, directions = np.linalg.eigh(alone + asked / (asked + dim) * (square - alone))
    weights = np.maximum(weights, 0) / weights.mean() + _LEAST
    root: Float32Array = ((directions * np.sqrt(weights)) @ directions.T).astype(np.float32)
    return root
