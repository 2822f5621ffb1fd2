"""The terms of a round: who is asked, how many must stay, and what is added up.

The server proposes them, and each client looks whether it would agree. Their digest stands in every message and in
everything that is signed or derived, so clients with different terms are in different rounds.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Self

from feature_store.errors import BadInput
from training.secure_aggregation import wire
from training.secure_aggregation.errors import MalformedMessage
from training.secure_aggregation.fixed_point import Field, Layout, largest
from training.secure_aggregation.wire import Kind

LEAST_CLIENTS, MOST_CLIENTS = 3, 1024


@dataclass(frozen=True, slots=True)
class Terms:
    """What a round is agreed on.

    round_id: names the round, 1 to 255 bytes of UTF-8; never used before.
    cohort: names of the clients asked, ascending. A client's number is its place in here.
    threshold: how many clients must stay to the end; more than half of the cohort.
    layout: what each client sends.
    """

    round_id: str
    cohort: tuple[str, ...]
    threshold: int
    layout: Layout

    def __post_init__(self) -> None:
        if not 0 < len(self.round_id.encode()) < 256:
            raise BadInput(f"a round's id has 1 to 255 bytes; got {self.round_id!r}")
        if not LEAST_CLIENTS <= len(self.cohort) <= MOST_CLIENTS:
            raise BadInput(f"a cohort has {LEAST_CLIENTS} to {MOST_CLIENTS} clients; got {len(self.cohort)}")
        if list(self.cohort) != sorted(set(self.cohort)):
            raise BadInput(f"a cohort's names are ascending and each there once; got {self.cohort}")
        if any(not 0 < len(name.encode()) < 256 for name in self.cohort):
            raise BadInput(f"a client's name has 1 to 255 bytes; got {self.cohort}")
        if not len(self.cohort) < 2 * self.threshold <= 2 * len(self.cohort):
            raise BadInput(
                f"a threshold is more than half of the cohort of {len(self.cohort)}, so that no two sets of clients "
                f"reach it apart from each other, and no more than all of it; got {self.threshold}"
            )
        largest(self.layout.word_bits, len(self.cohort))  # refuses words too small for the sum

    @property
    def digest(self) -> bytes:
        """The SHA-256 of these terms."""
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """The terms as a message."""
        fields = (
            wire.short(field.name.encode())
            + wire.number(len(field.shape), 1)
            + b"".join(wire.number(length, 4) for length in field.shape)
            + struct.pack(">d", field.bound)
            for field in self.layout.fields
        )
        return b"".join(
            (
                wire.MAGIC,
                bytes([wire.VERSION, Kind.TERMS]),
                wire.short(self.round_id.encode()),
                wire.entries([wire.short(name.encode()) for name in self.cohort]),
                wire.number(self.threshold),
                wire.number(self.layout.word_bits, 1),
                wire.entries(list(fields)),
            )
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`, for terms that nobody may agree on as well."""
        reader = wire.opened(content, Kind.TERMS)
        round_id = reader.text()
        cohort = tuple(reader.text() for _ in range(reader.number(2)))
        threshold, word_bits = reader.number(2), reader.number(1)
        read = []
        for _ in range(reader.number(2)):
            name = reader.text()
            shape = tuple(reader.number(4) for _ in range(reader.number(1)))
            (bound,) = struct.unpack(">d", reader.take(8))
            read.append((name, shape, bound))
        reader.end()
        try:
            return cls(round_id, cohort, threshold, Layout(tuple(Field(*field) for field in read), word_bits))
        except BadInput as error:
            raise MalformedMessage(f"the terms of round {round_id} are none: {error}") from error


def threshold_against_server(clients: int, colluding: int | None = None) -> int:
    """The least threshold that holds against a server that lies, together with so many clients of the cohort.

    Any two sets of t clients have 2t − n in common. With more than `colluding` of them an honest one is in both, and
    it signs one set of survivors only: 2t > n + colluding (Bonawitz et al. 2017, section 6). None takes their
    t = ⌊2n/3⌋ + 1, which holds against any number below a third.

    >>> [threshold_against_server(clients) for clients in (3, 10, 100)]
    [3, 7, 67]
    >>> [threshold_against_server(clients, colluding=0) for clients in (3, 10, 100)]
    [2, 6, 51]
    """
    return 2 * clients // 3 + 1 if colluding is None else (clients + colluding) // 2 + 1
