"""What a client sends: five messages, one a stage, each with its number in the cohort behind the header."""

from typing import NamedTuple, Self

from training.secure_aggregation import wire
from training.secure_aggregation.sealed_shares import SEALED_BYTES
from training.secure_aggregation.shamir import SHARE_BYTES
from training.secure_aggregation.wire import Kind, Reader

PUBLIC_KEY_BYTES = COMMITMENT_BYTES = 32


class Advertisement(NamedTuple):
    """Stage 0: the client's two public keys of this round.

    digest: of the round's terms, here and in every message.
    sender: the client's number.
    seal_key: to seal shares with, 32 bytes.
    mask_key: to agree on masks with, 32 bytes. Its private half is what is shared.
    signature: of the client's node key.
    """

    digest: bytes
    sender: int
    seal_key: bytes
    mask_key: bytes
    signature: bytes

    def to_bytes(self) -> bytes:
        """The message."""
        return _header(Kind.ADVERTISEMENT, self.digest, self.sender) + self.content()

    def content(self) -> bytes:
        """What follows the sender, here and in a roster."""
        return self.seal_key + self.mask_key + wire.short(self.signature)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`."""
        reader, digest, sender = _opened(content, Kind.ADVERTISEMENT)
        read = cls.read(reader, digest, sender)
        reader.end()
        return read

    @classmethod
    def read(cls, reader: Reader, digest: bytes, sender: int) -> Self:
        """What `content` wrote."""
        return cls(digest, sender, reader.take(PUBLIC_KEY_BYTES), reader.take(PUBLIC_KEY_BYTES), reader.short())


class SealedShares(NamedTuple):
    """Stage 1: a share of each of the client's two secrets for each other client, sealed for that client.

    commitment: to the secret of the client's own mask, 32 bytes, so that the server knows a wrong one.
    sealed: (receiver, sealed shares).
    """

    digest: bytes
    sender: int
    commitment: bytes
    sealed: tuple[tuple[int, bytes], ...]

    def to_bytes(self) -> bytes:
        """The message."""
        return _header(Kind.SEALED_SHARES, self.digest, self.sender) + self.commitment + pairs(self.sealed)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`."""
        reader, digest, sender = _opened(content, Kind.SEALED_SHARES)
        read = cls(digest, sender, reader.take(COMMITMENT_BYTES), read_pairs(reader, SEALED_BYTES))
        reader.end()
        return read


class MaskedInput(NamedTuple):
    """Stage 2: the client's words under its masks, little-endian."""

    digest: bytes
    sender: int
    words: bytes

    def to_bytes(self) -> bytes:
        """The message."""
        return _header(Kind.MASKED_INPUT, self.digest, self.sender) + wire.number(len(self.words), 4) + self.words

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`."""
        reader, digest, sender = _opened(content, Kind.MASKED_INPUT)
        read = cls(digest, sender, reader.take(reader.number(4)))
        reader.end()
        return read


class Agreement(NamedTuple):
    """Stage 3, first half: the client's signature of who sent what, as the server told it."""

    digest: bytes
    sender: int
    signature: bytes

    def to_bytes(self) -> bytes:
        """The message."""
        return _header(Kind.AGREEMENT, self.digest, self.sender) + wire.short(self.signature)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`."""
        reader, digest, sender = _opened(content, Kind.AGREEMENT)
        read = cls(digest, sender, reader.short())
        reader.end()
        return read


class Unmasking(NamedTuple):
    """Stage 3, second half: shares that take the masks off the sum.

    own_masks: (client, share of the secret of its own mask), for each client that is in the sum.
    mask_keys: (client, share of its private mask key), for each that dropped out after stage 1.
    """

    digest: bytes
    sender: int
    own_masks: tuple[tuple[int, bytes], ...]
    mask_keys: tuple[tuple[int, bytes], ...]

    def to_bytes(self) -> bytes:
        """The message."""
        return _header(Kind.UNMASKING, self.digest, self.sender) + pairs(self.own_masks) + pairs(self.mask_keys)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `MalformedMessage`."""
        reader, digest, sender = _opened(content, Kind.UNMASKING)
        read = cls(digest, sender, read_pairs(reader, SHARE_BYTES), read_pairs(reader, SHARE_BYTES))
        reader.end()
        return read


def pairs(written: tuple[tuple[int, bytes], ...]) -> bytes:
    """A list of clients and what goes with each, all of one length."""
    return wire.entries([wire.number(client) + content for client, content in written])


def read_pairs(reader: Reader, size: int) -> tuple[tuple[int, bytes], ...]:
    """What `pairs` wrote, with so many bytes to each client."""
    return reader.entries(lambda part: (part.number(2), part.take(size)), lambda entry: entry[0])


def _header(kind: Kind, digest: bytes, sender: int) -> bytes:
    return wire.header(kind, digest) + wire.number(sender)


def _opened(content: bytes, kind: Kind) -> tuple[Reader, bytes, int]:
    reader = wire.opened(content, kind)
    return reader, reader.take(wire.DIGEST_BYTES), reader.number(2)
