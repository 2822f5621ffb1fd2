"""Encryption at rest: what a store writes of people shows nothing to whoever has its files and not its key.

AES-256-GCM, with a key of its own for each person, derived from the store's: so no key ever seals so much that random
nonces could repeat. What is sealed is bound to its place (person and name), so that nobody can move it elsewhere.
People are looked up by pseudonyms, which are keyed hashes.

A sealed value:   1 byte of format   8 bytes of key id   12 bytes of nonce   the ciphertext and its tag of 16 bytes

A key file holds one key a line, the newest first: 32 random bytes in URL-safe base64. The newest seals, all of them
open. To rotate, put a new key on top, have the store seal everything anew, then take the old one away.
"""

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from feature_store import durable
from feature_store.errors import BadInput, CorruptCheckpoint, CorruptStore, UnknownKey
from feature_store.regular_file import read_regular

KEY_BYTES = 32
PSEUDONYM_BYTES = 16
OVERHEAD = 37  # bytes that sealing adds
KEY_VARIABLE = "HEARTH_STORE_KEY"

_FORMAT = b"\x01"
_ID_BYTES, _NONCE_BYTES, _TAG_BYTES = 8, 12, 16
_LARGEST_FILE = 1 << 16
_CACHED = 4096  # people whose ciphers are at hand


class KeyRing:
    """The keys of one store: the newest seals, all of them open.

    keys: of 32 bytes each, the newest first.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise BadInput("a store needs at least one key")
        for key in keys:
            if len(key) != KEY_BYTES:
                raise BadInput(f"a key of a store has {KEY_BYTES} bytes; got {len(key)}")
        self._keys = {_key_id(key): key for key in keys}
        self.newest = _key_id(keys[0])
        # Each ring has a cache of its own, which goes with it.
        self._cipher = lru_cache(maxsize=_CACHED)(self._derived)

    def seal(self, person: bytes, name: bytes, content: bytes) -> bytes:
        """The content, sealed with the newest key for that place.

        person: pseudonym of whom it is about, or b"" for what is about nobody.
        name: what it is, such as b"embedding" and the checkpoint it belongs to.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + self.newest + nonce + self._cipher(self.newest, person).encrypt(nonce, content, name)

    def open(self, person: bytes, name: bytes, sealed: bytes) -> bytes:
        """What was sealed for that place.

        Raises:
            UnknownKey: it is sealed with a key that this ring does not have.
            CorruptStore: it is not what was sealed for that place with that key.
        """
        key_id = self.key_id(sealed)
        if key_id not in self._keys:
            known = ", ".join(known.hex() for known in self._keys)
            raise UnknownKey(f"a value is sealed with key {key_id.hex()}; the keys at hand are {known}")
        nonce, ciphertext = sealed[9 : 9 + _NONCE_BYTES], sealed[9 + _NONCE_BYTES :]
        try:
            return self._cipher(key_id, person).decrypt(nonce, ciphertext, name)
        except InvalidTag:
            raise CorruptStore(
                f"a value named {name.decode(errors='replace')!r} is not what was sealed with key {key_id.hex()} for "
                f"its place: the store's data is damaged, or was tampered with"
            ) from None

    def key_id(self, sealed: bytes) -> bytes:
        """The id of the key that the value is sealed with, 8 bytes; raises `CorruptStore` for what nobody sealed."""
        if len(sealed) < OVERHEAD or sealed[:1] != _FORMAT:
            raise CorruptStore(f"a value of {len(sealed)} bytes is not one that this store has sealed")
        return sealed[1 : 1 + _ID_BYTES]

    def _derived(self, key_id: bytes, person: bytes) -> AESGCM:
        return AESGCM(_mac(self._keys[key_id], b"hearth seal\0" + person))


def pseudonym(secret: bytes, *parts: str) -> bytes:
    """What stands for a person, or for something of a person, in keys of a store: 16 bytes, the same every time.

    secret: the store's own, which does not change when its keys do: it rests in the store, sealed.

    Raises:
        BadInput: a part is text that UTF-8 cannot write, so that nobody in any store can have it.
    """
    try:
        content = b"".join(len(part := text.encode()).to_bytes(4, "big") + part for text in parts)
    except UnicodeEncodeError:
        raise BadInput("an id is text that UTF-8 can write; got half of a surrogate pair") from None
    return _mac(secret, content)[:PSEUDONYM_BYTES]


def new_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(KEY_BYTES)


def keys_from_text(text: str, where: str) -> KeyRing:
    """The ring of keys written in base64 with white space between, the newest first; raises `BadInput`.

    where: what to call the place in errors. No error shows what stands there.
    """
    return KeyRing([_decoded(word, number, where) for number, word in enumerate(text.split(), 1)])


def keys_from_file(path: Path) -> KeyRing:
    """The ring of a key file; raises `BadInput` for what is none, or what others can read."""
    if path.stat().st_mode & 0o007:
        raise BadInput(f"the key file {path} can be read by everybody; give it to yourself alone: chmod 600 {path}")
    try:
        content = read_regular(path, _LARGEST_FILE)
    except CorruptCheckpoint as error:
        raise BadInput(f"{path} is no key file: {error}") from error
    return keys_from_text(content.decode("ascii", "replace"), str(path))


def keys_from_environment(variable: str = KEY_VARIABLE) -> KeyRing:
    """The ring of an environment variable; raises `BadInput` where it is not set or holds no keys."""
    if variable not in os.environ:
        raise BadInput(f"the environment variable {variable} is not set; it holds the store's keys in base64")
    return keys_from_text(os.environ[variable], variable)


def keys_from(callback: Callable[[], Iterable[bytes]]) -> KeyRing:
    """The ring of what a callback gives, newest first: a keychain, a hardware module, a service of keys."""
    return KeyRing(list(callback()))


def own_keys(path: Path) -> KeyRing:
    """The ring of that file; where there is none, a new key is made and put there for its owner alone to read."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was first; its key is as good
            durable.create(path, base64.urlsafe_b64encode(new_key()) + b"\n", mode=0o600)
    return keys_from_file(path)


def add_key(path: Path) -> KeyRing:
    """Put a new key on top of those of a key file, and give its ring; the file is the old one or the new one, whole.

    It stays its owner's and its group's, as servers may run under another account, and where the path is a link, the
    file that the link leads to is changed. Several at once come one after the other, and none of their keys is lost.
    """
    path = path.resolve()
    keys_from_file(path)  # nothing is put on top of what is no key file
    with durable.exclusive_file(path) as found:
        text = base64.urlsafe_b64encode(new_key()).decode() + "\n" + path.read_text("ascii")
        ring = keys_from_text(text, str(path))
        durable.replace(path, text.encode(), stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))
    return ring


def _key_id(key: bytes) -> bytes:
    return _mac(key, b"hearth key id")[:_ID_BYTES]


def _mac(key: bytes, content: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes."""
    mac = _keyed(key).copy()  # looking up the algorithm takes longer than running it
    mac.update(content)
    return mac.finalize()


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> HMAC:
    return HMAC(key, hashes.SHA256())


def _decoded(word: str, number: int, where: str) -> bytes:
    try:
        key = base64.b64decode(word, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadInput(f"key {number} of {where} is not {KEY_BYTES} bytes in URL-safe base64")
    return key
