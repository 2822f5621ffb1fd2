"""What counters keep of a person: pseudonyms of the person, of each ad for that person, and of each impression."""

import struct

from feature_store.encryption import KeyRing, pseudonym
from feature_store.errors import CorruptStore

_NAME = b"show"
_TIMES = struct.Struct("<dd")


class ShowSealing:
    """How the shows of one store are sealed, and by what they are found."""

    def __init__(self, keys: KeyRing, secret: bytes) -> None:
        self.keys, self._secret = keys, secret

    def person(self, user_id: str) -> bytes:
        """What stands for the person, 16 bytes."""
        return pseudonym(self._secret, user_id)

    def ad(self, user_id: str, ad: str) -> bytes:
        """What stands, at the person, for the ad: another for each person, so that nobody can group people by ads."""
        return pseudonym(self._secret, user_id, ad)

    def impression(self, user_id: str, ad: str, impression_id: str) -> bytes:
        """What stands for an impression of the ad."""
        return pseudonym(self._secret, user_id, ad, impression_id)

    def seal(self, person: bytes, ad: str, at: float = 0.0, until: float = 0.0) -> bytes:
        """The ad's id, and when it was shown and until when that counts, where the store keeps these sealed too."""
        return self.keys.seal(person, _NAME, _TIMES.pack(at, until) + ad.encode())

    def open(self, person: bytes, sealed: bytes) -> tuple[str, float, float]:
        """Ad, at, until; raises as `KeyRing.open`."""
        content = self.keys.open(person, _NAME, sealed)
        try:
            at, until = _TIMES.unpack_from(content)
            return content[_TIMES.size :].decode(), at, until
        except (struct.error, UnicodeDecodeError) as error:
            raise CorruptStore(f"{len(content)} bytes are no show as this Hearth writes it: {error}") from error

    def resealed(self, person: bytes, sealed: bytes) -> bytes | None:
        """The same, sealed with the newest key; None where it is."""
        if self.keys.key_id(sealed) == self.keys.newest:
            return None
        return self.keys.seal(person, _NAME, self.keys.open(person, _NAME, sealed))
