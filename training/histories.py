"""Histories: which items each client has met, for a whole population in two flat arrays."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from feature_store.arrays import Int32Array, Int64Array
from feature_store.errors import BadInput

Data = TypeVar("Data")
"""What one client has to train on."""


class Histories(Sequence[Int32Array]):
    """Item rows of each client, kept as one array of rows and one of offsets (compressed sparse rows).

    rows: distinct item rows of client 0, then of client 1, ...; each client's in the order of the events. It may lie
        on disk as a memory map (`training.history_files`): then it is read as it is asked for.
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

    def read(self, clients: Int64Array) -> Int32Array:
        """The rows of these clients, one after the other, as a copy in memory.

        Of a memory map nothing stays behind: a new map is made for each call, as the pages that a map has read count
        as this process's memory until the map is gone.
        """
        rows = self.rows
        if isinstance(rows, np.memmap):
            rows = np.memmap(str(rows.filename), np.int32, "r", rows.offset, rows.shape)
        starts, lengths = self.offsets[clients], self.offsets[clients + 1] - self.offsets[clients]
        if len(clients) and len(clients) == clients[-1] - clients[0] + 1 and (np.diff(clients) == 1).all():
            return np.array(rows[starts[0] : starts[-1] + lengths[-1]])
        behind = np.cumsum(lengths) - lengths  # rows of the clients before
        return np.array(rows[np.repeat(starts - behind, lengths) + np.arange(lengths.sum())])


class Chosen(Sequence[Data]):
    """What some clients of a population have to train on, such as a cohort's, without a list of it.

    >>> cohort = Chosen(Histories.of([[3, 1], [], [2], [5, 4]]), np.array([3, 0]))
    >>> [rows.tolist() for rows in cohort], len(cohort)
    ([[5, 4], [3, 1]], 2)
    """

    __slots__ = ("clients", "data")

    def __init__(self, data: Sequence[Data], clients: Int64Array) -> None:
        self.data, self.clients = data, clients

    def __len__(self) -> int:
        return len(self.clients)

    def __getitem__(self, client: int) -> Data:  # type: ignore[override]  # as of Histories
        return self.data[int(self.clients[client])]

    def __iter__(self) -> Iterator[Data]:
        return (self.data[client] for client in self.clients)


def stored(histories: Sequence[Int32Array]) -> tuple[Histories, Int64Array]:
    """Where these histories are stored, and as which clients; others than `Histories` and their `Chosen` are copied."""
    if isinstance(histories, Chosen) and isinstance(histories.data, Histories):
        return histories.data, histories.clients
    if not isinstance(histories, Histories):
        histories = Histories.of(histories)
    return histories, np.arange(len(histories))
