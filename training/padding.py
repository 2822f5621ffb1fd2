"""Padded batches: histories of many lengths as few rectangular arrays, within a bound on memory."""

from collections.abc import Iterator, Sequence

import numpy as np

from feature_store.arrays import Int32Array, Int64Array

PADDING = -1
_FULL = 0.8  # the shortest of a batch has at least this share of the longest: a tenth or so is padding


def padded_batches(histories: Sequence[Int32Array], cells: int) -> Iterator[Int32Array]:
    """Item rows, shape (clients, longest), `PADDING` where a history has ended.

    Histories go longest first, so that neighbours are of like length and little is padded. The clients of a
    batch are anonymous: their sums are all that is wanted.

    cells: the most entries of one batch; a single longer history makes a batch of its own.
    """
    ordered = sorted(histories, key=len, reverse=True)
    start = 0
    while start < len(ordered):
        longest = max(1, len(ordered[start]))
        batch = ordered[start : start + max(1, cells // longest)]
        yield pad(batch)
        start += len(batch)


def pad(histories: Sequence[Int32Array]) -> Int32Array:
    """All histories in one array, shape (clients, longest), in the order given."""
    lengths = np.array([len(rows) for rows in histories])
    padded = np.full((len(histories), max(1, lengths.max(initial=0))), PADDING, dtype=np.int32)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(histories)
    return padded


def like_lengths(lengths: Int64Array, cells: int) -> Iterator[slice]:
    """Where to cut clients of falling lengths into batches of like length.

    Args:
        lengths: shape (clients,), none greater than the one before.
        cells: the most entries of a batch once it is padded; a single longer client makes a batch of its own.

    >>> [(batch.start, batch.stop) for batch in like_lengths(np.array([9, 8, 3, 3, 1]), cells=18)]
    [(0, 2), (2, 4), (4, 5)]
    """
    start = 0
    while start < len(lengths):
        longest = max(1, int(lengths[start]))
        most = lengths[start : start + max(1, cells // longest)]
        stop = start + int(np.searchsorted(-most, 1 - _FULL * longest, side="right"))
        yield slice(start, stop)
        start = stop
