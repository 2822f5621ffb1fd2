"""What the server sends behind the terms: four messages, one between each two stages."""

from typing import NamedTuple, Self

from training.secure_aggregation import wire
from training.secure_aggregation.client_messages import Advertisement, pairs, read_pairs
from training.secure_aggregation.sealed_shares import SEALED_BYTES
from training.secure_aggregation.wire import Kind


class Roster(NamedTuple):
    """After stage 0, the same to all: who advertised which keys."""

    digest: bytes
    advertisements: tuple[Advertisement, ...]

    def to_bytes(self) -> bytes:
        """The message."""
        written = [wire.number(one.sender) + one.content() for one in self.advertisements]
        return wire.header(Kind.ROSTER, self.digest) + wire.entries(written)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`."""
        reader = wire.opened(content, Kind.ROSTER)
        digest = reader.take(wire.DIGEST_BYTES)
        read = reader.entries(
            lambda part: Advertisement.read(part, digest, part.number(2)), lambda advertisement: advertisement.sender
        )
        reader.end()
        return cls(digest, read)


class Delivery(NamedTuple):
    """After stage 1, to one client: what the others sealed for it, which says who they are.

    sealed: (sender, sealed shares).
    """

    digest: bytes
    receiver: int
    sealed: tuple[tuple[int, bytes], ...]

    def to_bytes(self) -> bytes:
        """The message."""
        return wire.header(Kind.DELIVERY, self.digest) + wire.number(self.receiver) + pairs(self.sealed)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`."""
        reader = wire.opened(content, Kind.DELIVERY)
        read = cls(reader.take(wire.DIGEST_BYTES), reader.number(2), read_pairs(reader, SEALED_BYTES))
        reader.end()
        return read


class Survivors(NamedTuple):
    """After stage 2, the same to all: whose masked inputs are in the sum."""

    digest: bytes
    clients: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """The message."""
        return wire.header(Kind.SURVIVORS, self.digest) + wire.clients(self.clients)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`."""
        reader = wire.opened(content, Kind.SURVIVORS)
        read = cls(reader.take(wire.DIGEST_BYTES), reader.entries(lambda part: part.number(2), lambda client: client))
        reader.end()
        return read


class Agreements(NamedTuple):
    """Within stage 3, the same to all: who signed what each has signed.

    signatures: (client, signature).
    """

    digest: bytes
    signatures: tuple[tuple[int, bytes], ...]

    def to_bytes(self) -> bytes:
        """The message."""
        written = [wire.number(client) + wire.short(signature) for client, signature in self.signatures]
        return wire.header(Kind.AGREEMENTS, self.digest) + wire.entries(written)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`."""
        reader = wire.opened(content, Kind.AGREEMENTS)
        read = cls(
            reader.take(wire.DIGEST_BYTES),
            reader.entries(lambda part: (part.number(2), part.short()), lambda entry: entry[0]),
        )
        reader.end()
        return read
