"""How messages are written as bytes: one way to write each, and nothing else is read.

    3 bytes "HSA"   1 byte of version   1 byte of kind   32 bytes, the digest of the round's terms   the content

Numbers are unsigned and big-endian. A client is its number in the cohort, 2 bytes. A list is its length in 2 bytes
and its entries in ascending order of their clients, each client once; so equal messages are equal bytes, and nothing
stands in a message twice.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import TypeVar

from training.secure_aggregation.errors import MalformedMessage

MAGIC, VERSION = b"HSA", 1
DIGEST_BYTES = 32

Entry = TypeVar("Entry")


class Kind(IntEnum):
    """What a message is."""

    TERMS = 0
    ADVERTISEMENT = 1
    ROSTER = 2
    SEALED_SHARES = 3
    DELIVERY = 4
    MASKED_INPUT = 5
    SURVIVORS = 6
    AGREEMENT = 7
    AGREEMENTS = 8
    UNMASKING = 9

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return self.name.lower().replace("_", " ")


class Reader:
    """The bytes of one message, read from the front; what is missing, left over or not canonical is refused."""

    def __init__(self, content: bytes, what: str) -> None:
        self._content, self._place, self._what = content, 0, what

    def take(self, count: int) -> bytes:
        """The next so many bytes."""
        end = self._place + count
        if end > len(self._content):
            raise MalformedMessage(
                f"a message of kind {self._what} ends after {len(self._content)} bytes, within a part up to {end}"
            )
        taken, self._place = self._content[self._place : end], end
        return taken

    def number(self, size: int) -> int:
        """The next number, of so many bytes."""
        return int.from_bytes(self.take(size), "big")

    def short(self) -> bytes:
        """Bytes with their length, 1 byte, before them."""
        return self.take(self.number(1))

    def text(self) -> str:
        """UTF-8 with its length in bytes, 1 byte, before it."""
        try:
            return self.short().decode()
        except UnicodeDecodeError as error:
            raise MalformedMessage(f"a message of kind {self._what} holds a name that is not UTF-8: {error}") from None

    def entries(self, entry: Callable[["Reader"], Entry], client: Callable[[Entry], int]) -> tuple[Entry, ...]:
        """A list; `client` says which number an entry is of."""
        read = tuple(entry(self) for _ in range(self.number(2)))
        for one, other in pairwise(read):
            if client(one) >= client(other):
                raise MalformedMessage(
                    f"clients stand in ascending order, each once; a message of kind {self._what} has "
                    f"{client(other)} after {client(one)}"
                )
        return read

    def end(self) -> None:
        """Refuse what is left over."""
        if left := len(self._content) - self._place:
            raise MalformedMessage(f"a message of kind {self._what} has {left} bytes after its end")


def header(kind: Kind, digest: bytes) -> bytes:
    """The beginning of each message but the terms; digest: that of the round's terms."""
    return MAGIC + bytes([VERSION, kind]) + digest


def kind_of(content: bytes) -> Kind:
    """What kind of message these bytes begin like; raises `MalformedMessage`."""
    if len(content) < 5 or content[:3] != MAGIC:
        raise MalformedMessage(f"messages begin with {MAGIC!r}; got {len(content)} bytes that begin {content[:3]!r}")
    if content[3] != VERSION:
        raise MalformedMessage(f"messages of version {VERSION} are understood; got version {content[3]}")
    try:
        return Kind(content[4])
    except ValueError:
        raise MalformedMessage(f"there is no message of kind number {content[4]}") from None


def opened(content: bytes, kind: Kind) -> Reader:
    """A reader behind the byte of kind; raises `MalformedMessage` for a message of another kind."""
    if (got := kind_of(content)) != kind:
        raise MalformedMessage(f"a message of kind {kind.words} is due here; got one of kind {got.words}")
    reader = Reader(content, kind.words)
    reader.take(5)
    return reader


def number(value: int, size: int = 2) -> bytes:
    """A number in so many bytes."""
    return value.to_bytes(size, "big")


def short(content: bytes) -> bytes:
    """Bytes with their length, 1 byte, before them."""
    return number(len(content), 1) + content


def entries(written: Sequence[bytes]) -> bytes:
    """A list, from its entries in ascending order of their clients."""
    return number(len(written)) + b"".join(written)


def clients(ids: Iterable[int]) -> bytes:
    """A list of clients alone, in the order given, which must be ascending."""
    return entries([number(one) for one in ids])
