"""Scripts in Lua: what Redis runs whole, with nothing between its steps; and hashes as it answers with them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Script(NamedTuple):
    """A script, and the name by which a server that has seen it knows it: its SHA-1."""

    text: str
    sha: str


def script(text: str) -> Script:
    """The script, with its name."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def fields(reply: Mapping[bytes, bytes] | Sequence[bytes]) -> Mapping[bytes, bytes]:
    """A hash: as redis-py has paired it, or as Redis sends it, each field before its value."""
    return reply if isinstance(reply, Mapping) else dict(zip(reply[::2], reply[1::2], strict=True))
