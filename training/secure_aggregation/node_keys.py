"""The keys by which nodes know each other: Ed25519 (RFC 8032), or ECDSA on P-384 with SHA-384 as Flower's nodes have.

Each node has its private key, and has pinned the public keys of the others, by a way that is not the server: a server
that could say whose key is whose could play all clients but one.
"""

from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP384R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from feature_store.errors import BadInput

NodeKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey
NodePublicKey: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey

_NUMBER_BYTES = 48  # of each of the two numbers of a signature on P-384
_DIGEST = ECDSA(SHA384())


def sign(key: NodeKey, message: bytes) -> bytes:
    """The signature of these bytes: 64 bytes with an Ed25519 key, 96 with one on P-384 (r and s, big-endian)."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    _require_curve(key)
    r, s = decode_dss_signature(key.sign(message, _DIGEST))
    return r.to_bytes(_NUMBER_BYTES, "big") + s.to_bytes(_NUMBER_BYTES, "big")


def verifies(key: NodePublicKey, message: bytes, signature: bytes) -> bool:
    """Whether the key's owner signed exactly these bytes."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
            return True
        if len(signature) != 2 * _NUMBER_BYTES:
            return False
        r, s = (int.from_bytes(part, "big") for part in (signature[:_NUMBER_BYTES], signature[_NUMBER_BYTES:]))
        key.verify(encode_dss_signature(r, s), message, _DIGEST)
    except InvalidSignature:
        return False
    return True


def key_bytes(key: NodePublicKey) -> bytes:
    """The key as DER writes it: equal keys are equal bytes."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def require_node_key(key: NodePublicKey, node: str) -> None:
    """Raise `BadInput` for a key on another curve than P-384."""
    if isinstance(key, EllipticCurvePublicKey):
        _require_curve(key, f" of {node}")


def _require_curve(key: EllipticCurvePrivateKey | EllipticCurvePublicKey, whose: str = "") -> None:
    if not isinstance(key.curve, SECP384R1):
        raise BadInput(f"a node key is Ed25519 or on the curve secp384r1; the key{whose} is on {key.curve.name}")
