"""Who published a checkpoint: Ed25519 signatures (RFC 8032) and the public keys a reader has pinned."""

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from feature_store.durable import create
from feature_store.errors import BadInput, UntrustedCheckpoint


class Signature(NamedTuple):
    """A signature and the id of the key that made it."""

    key_id: str
    signature: bytes


class PublicKey:
    """A key to verify with. Its id is the first 16 hex digits of the SHA-256 of its 32 bytes."""

    __slots__ = ("_key", "key_id")

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.key_id = hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]

    @classmethod
    def load(cls, path: Path) -> "PublicKey":
        """Read a PEM file; raises `BadInput` where it holds no Ed25519 public key."""
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise BadInput(f"{path} is not readable as a public key in PEM form: {error}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise BadInput(f"{path} holds a {type(key).__name__}; checkpoints are signed with Ed25519 keys")
        return cls(key)

    def pem(self) -> bytes:
        """The key in PEM form, as `load` reads it."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key's owner signed exactly these bytes."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A key to sign with. It never stands in a registry: who can write there must not be able to sign."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new random key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Read a PEM file; raises `BadInput` where it holds no unencrypted Ed25519 private key."""
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, TypeError, ValueError, UnsupportedAlgorithm) as error:
            raise BadInput(f"{path} is not readable as a signing key in PEM form: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadInput(f"{path} holds a {type(key).__name__}; checkpoints are signed with Ed25519 keys")
        return cls(key)

    @classmethod
    def load_or_create(cls, path: Path) -> "SigningKey":
        """Read the key of that file; make one, readable by its owner alone, where there is none yet."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was first; its key is as good
                cls.generate().save(path)
        return cls.load(path)

    def save(self, path: Path) -> None:
        """Write the key to a new PEM file, whole or not at all, that its owner alone can read."""
        create(path, self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)

    def sign(self, message: bytes) -> Signature:
        """The signature of these bytes."""
        return Signature(self.public.key_id, self._key.sign(message))


class TrustedKeys:
    """The public keys that a reader has pinned."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = {key.key_id: key for key in keys}

    def verify(self, message: bytes, signature: Signature, what: str) -> None:
        """Return if a pinned key signed exactly these bytes; raise `UntrustedCheckpoint` naming `what` otherwise."""
        key = self._keys.get(signature.key_id)
        if key is None:
            raise UntrustedCheckpoint(
                f"{what} is signed by key {signature.key_id}, which is not trusted; "
                f"trusted: {', '.join(sorted(self._keys)) or 'none'}"
            )
        if not key.verifies(message, signature.signature):
            raise UntrustedCheckpoint(
                f"{what} carries a signature of key {signature.key_id} that is not over its bytes"
            )
