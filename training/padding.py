"""Padded batches: histories of many lengths as few rectangular arrays, within a bound on memory."""

from collections.abc import Iterator, Sequence

import numpy as np

from feature_store.arrays import Int32Array

PADDING = -1


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
