"""Histories: which items each client has met, for a whole population in two flat arrays."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from feature_store.arrays import Int32Array, Int64Array
from feature_store.errors import BadInput


class Histories(Sequence[Int32Array]):
    """Item rows of each client, kept as one array of rows and one of offsets (compressed sparse rows).

    rows: distinct item rows of client 0, then of client 1, ...; each client's in the order of the events.
    offsets: shape (clients + 1,); client u has rows[offsets[u]:offsets[u + 1]], which may be none.

    >>> met = Histories.of([[3, 1], [], [2]])
    >>> len(met), met[0].tolist(), met.lengths.tolist()
    (3, [3, 1], [2, 0, 1])
    """

    __slots__ = ("offsets", "rows")

    def __init__(self, rows: Int32Array, offsets: Int64Array) -> None:
        if offsets.ndim != 1 or not offsets.size or offsets[0] != 0 or offsets[-1] != len(rows):
            raise BadInput(f"offsets of {len(rows)} rows begin with 0 and end with {len(rows)}; got {offsets[[0, -1]]}")
        self.rows, self.offsets = rows, offsets

    @classmethod
    def of(cls, clients: Iterable[Sequence[int] | Int32Array]) -> "Histories":
        """Histories from one sequence of item rows a client."""
        lists = [np.asarray(client, dtype=np.int32) for client in clients]
        rows = np.concatenate([np.empty(0, dtype=np.int32), *lists])
        return cls(rows, np.cumsum([0, *map(len, lists)], dtype=np.int64))

    @property
    def lengths(self) -> Int64Array:
        """Items of each client, shape (clients,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, client: int) -> Int32Array:  # type: ignore[override]  # one client at a time; a slice has no use
        return self.rows[self.offsets[client] : self.offsets[client + 1]]

    def __iter__(self) -> Iterator[Int32Array]:
        return (self[client] for client in range(len(self)))
