"""Keys from secrets: X25519 agreement (RFC 7748) and HKDF-SHA256 (RFC 5869), each for one purpose in one round."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from training.secure_aggregation.errors import WeakKey

KEY_BYTES = 32

_DOMAIN = b"hearth secure aggregation 1"


def derive(secret: bytes, salt: bytes, purpose: str, *names: str) -> bytes:
    """32 bytes that follow from the secret, for this purpose, round and these names, and say nothing of the secret.

    salt: what the key is bound to, 32 bytes: the digest of the round's terms, or of its roster, which covers the terms.
    names: whom it is for, in an order that counts.
    """
    parts = [_DOMAIN, purpose.encode(), *(name.encode() for name in names)]
    info = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    return HKDF(SHA256(), KEY_BYTES, salt, info).derive(secret)


def private_key(secret: bytes) -> X25519PrivateKey:
    """The X25519 key of any 32 bytes."""
    return X25519PrivateKey.from_private_bytes(secret)


def public_key(secret: bytes) -> bytes:
    """The public half of the X25519 key of these 32 bytes, 32 bytes."""
    return private_key(secret).public_key().public_bytes_raw()


def agree(private: X25519PrivateKey, public: bytes, whose: str) -> bytes:
    """The secret that the two owners share, 32 bytes, to be given to `derive`.

    Raises:
        WeakKey: the public key has a small order, so that everybody knows what it agrees on.
    """
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise WeakKey(f"a public key of {whose} agrees on the same secret with everybody: {public.hex()}") from None
