"""The secret that a store's pseudonyms are made with: random, made once, and kept in the store itself, sealed.

It rests in a table of a SQLite file (`index_secret_sqlite`) or in a hash of a Redis (`index_secret_redis`). A store
that holds people and has lost it is refused: a new one would hide all of them, for good.
"""

import secrets
from typing import NamedTuple

from feature_store.encryption import KEY_BYTES, KeyRing

_NOBODY, _INDEX = b"", b"index"


class IndexSecret(NamedTuple):
    """The secret of one store, and the same as it rests there."""

    secret: bytes
    sealed: bytes


def new_secret(keys: KeyRing) -> IndexSecret:
    """A random one."""
    secret = secrets.token_bytes(KEY_BYTES)
    return IndexSecret(secret, _sealed(keys, secret))


def opened(keys: KeyRing, sealed: bytes) -> IndexSecret:
    """What was sealed; raises as `KeyRing.open`."""
    return IndexSecret(keys.open(_NOBODY, _INDEX, sealed), sealed)


def resealed(keys: KeyRing, sealed: bytes) -> bytes | None:
    """The same, sealed with the newest key; None where it is."""
    return None if keys.key_id(sealed) == keys.newest else _sealed(keys, opened(keys, sealed).secret)


def _sealed(keys: KeyRing, secret: bytes) -> bytes:
    return keys.seal(_NOBODY, _INDEX, secret)
