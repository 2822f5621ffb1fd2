"""Frames: what a worker and its parent say to each other, over one local socket for as long as the worker runs.

    length u32 | kind u8 | worker u8 | number u32 | length bytes         big-endian

The parent passes on what is for others without reading it.
"""

import asyncio
import struct
from enum import IntEnum
from typing import NamedTuple

from feature_store.errors import BadInput

_HEAD = struct.Struct("!IBBI")
_LONGEST = 1 << 26  # bytes: the samples of a worker with many placements take one or two hundred thousand


class Kind(IntEnum):
    """What a frame is."""

    START = 0
    """From the parent, the first: what the worker is to do."""
    LISTENS = 1
    """To the parent: requests are accepted at the address that it holds."""
    FAILED = 2
    """To the parent: why the worker cannot begin."""
    TELL = 3
    """To all others. Nobody answers."""
    ASK = 4
    """To all others; each answers."""
    ANSWER = 5
    """To the one that asked. Empty: there is nothing to say, or nobody to say it."""


class Frame(NamedTuple):
    """One of them.

    worker: whom it is to, or on its way from the parent, whom it comes from.
    number: of the question that is asked or answered.
    """

    kind: Kind
    content: bytes = b""
    worker: int = 0
    number: int = 0

    def written(self) -> bytes:
        """As it goes over the socket."""
        return _HEAD.pack(len(self.content), self.kind, self.worker, self.number) + self.content


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next one; None where the other side has ended.

    Raises:
        BadInput: these are no frames.
    """
    try:
        length, kind, worker, number = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if length > _LONGEST or kind not in list(Kind):
            raise BadInput(f"a frame of kind {kind} and {length} bytes is none of ours")
        return Frame(Kind(kind), await reader.readexactly(length), worker, number)
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None
