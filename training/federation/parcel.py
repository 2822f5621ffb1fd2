"""A parcel: what goes to a cell, or comes from it, at one stage of secure rounds, as one message.

    3 bytes "HSO"   1 byte of version   2 bytes, how many messages   each with its length, 4 bytes, before it   the task

The messages are those of `training.secure_aggregation.wire`, of one round or of several that are prepared together. The
task whose sums are to be added, empty where none is due, goes along with the shares of its round, or is empty. Numbers
are big-endian.
"""

from typing import NamedTuple, Self

from training.federation.errors import BadMessage

MAGIC, VERSION = b"HSO", 1
MOST_MESSAGES = 64
_BEGINNING = MAGIC + bytes([VERSION])


class Parcel(NamedTuple):
    """messages: of rounds, one for each. task: as the message that it is, or empty."""

    messages: tuple[bytes, ...]
    task: bytes = b""

    def to_bytes(self) -> bytes:
        """The message."""
        parts = (len(message).to_bytes(4, "big") + message for message in self.messages)
        return b"".join((_BEGINNING, len(self.messages).to_bytes(2, "big"), *parts, self.task))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote; raises `BadMessage`."""
        count, place = int.from_bytes(content[4:6], "big"), 6
        if len(content) < place or content[:4] != _BEGINNING or not 0 < count <= MOST_MESSAGES:
            raise BadMessage(
                f"a parcel of version {VERSION} with 1 to {MOST_MESSAGES} messages is due; got {len(content):,} bytes "
                f"that begin {content[:6]!r}"
            )
        messages = []
        for _ in range(count):
            end = place + 4 + int.from_bytes(content[place : place + 4], "big")
            if end > len(content) or place + 4 > len(content):
                raise BadMessage(f"a parcel of {count} messages ends within one, after {len(content):,} bytes")
            messages.append(content[place + 4 : end])
            place = end
        return cls(tuple(messages), content[place:])
