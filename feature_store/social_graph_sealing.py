"""Ties as files and servers see them: who is at an end is a pseudonym, who is at the other end is sealed.

The two ends of a tie have different pseudonyms and different sealed values, so that nothing in a stolen file says which
ends belong together. It shows how many ties of which kind each pseudonym has.
"""

import struct

from feature_store.encryption import KeyRing, pseudonym
from feature_store.errors import CorruptStore
from feature_store.social_graph import TieList
from feature_store.unreadable import UNREADABLE

_TIME = struct.Struct("<d")


class TieSealing:
    """How the ties of one store are sealed, and by what they are found."""

    def __init__(self, keys: KeyRing, secret: bytes) -> None:
        self.keys, self._secret = keys, secret

    def person(self, user_id: str) -> bytes:
        """What stands for the person, 16 bytes."""
        return pseudonym(self._secret, user_id)

    def edge(self, user_id: str, other: str) -> bytes:
        """What stands, at the person, for the other, 16 bytes."""
        return pseudonym(self._secret, user_id, other)

    def seal(self, user_id: str, name: TieList, other: str, time: float) -> bytes:
        """What the person's list holds of the other."""
        return self.keys.seal(self.person(user_id), _place(name), _TIME.pack(time) + other.encode())

    def open(self, person: bytes, name: TieList, sealed: bytes) -> tuple[str, float]:
        """The other, and since when; raises as `KeyRing.open`."""
        content = self.keys.open(person, _place(name), sealed)
        try:
            (time,) = _TIME.unpack_from(content)
            return content[_TIME.size :].decode(), time
        except (struct.error, UnicodeDecodeError) as error:
            raise CorruptStore(f"{len(content)} bytes are no tie as this Hearth writes it: {error}") from error

    def other_of(self, person: bytes, name: TieList, sealed: bytes) -> str | None:
        """The other; None where that cannot be read, for an erasure, which removes it all the same."""
        try:
            return self.open(person, name, sealed)[0]
        except UNREADABLE:
            return None

    def resealed(self, person: bytes, name: TieList, sealed: bytes) -> bytes | None:
        """The same, sealed with the newest key; None where it is."""
        if self.keys.key_id(sealed) == self.keys.newest:
            return None
        return self.keys.seal(person, _place(name), self.keys.open(person, _place(name), sealed))


def _place(name: TieList) -> bytes:
    return b"tie:" + name.encode()
