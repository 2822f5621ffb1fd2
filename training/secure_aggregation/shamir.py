"""Secret sharing (Shamir 1979) over the prime field of 2^521 − 1: `threshold` shares give the secret, fewer nothing.

The field holds any secret of 32 bytes as one number, and each share has 66 bytes, whatever the secret.
"""

from collections.abc import Sequence

from training.secure_aggregation.errors import MalformedMessage, WrongShare
from training.secure_aggregation.masks import keystream_bytes

PRIME = 2**521 - 1
SHARE_BYTES = 66
SECRET_BYTES = 32


def split(secret: bytes, threshold: int, points: Sequence[int], key: bytes) -> list[bytes]:
    """One share for each point.

    Args:
        secret: 32 bytes.
        threshold: how many shares give it back.
        points: distinct and positive; the polynomial's value at 0 is the secret.
        key: 32 fresh random bytes, from which the coefficients are drawn. The same secret, threshold and key give the
            same polynomial for whatever points.
    """
    drawn = keystream_bytes(key, (threshold - 1) * SHARE_BYTES)
    # 521 random bits each. One of 2^521 such numbers is no element of the field, and is taken as 0.
    coefficients = [
        int.from_bytes(drawn[start : start + SHARE_BYTES], "big") % (PRIME + 1) % PRIME
        for start in range(0, len(drawn), SHARE_BYTES)
    ]
    constant = int.from_bytes(secret, "big")
    shares = []
    for point in points:
        value = 0
        for coefficient in coefficients:
            value = (value + coefficient) * point % PRIME
        shares.append(((value + constant) % PRIME).to_bytes(SHARE_BYTES, "big"))
    return shares


def weights_at_zero(points: Sequence[int]) -> list[int]:
    """Lagrange's weights: the value at 0 is Σ weight·share, of as many shares as the polynomial has coefficients."""
    weights = []
    for one in points:
        above = below = 1
        for other in points:
            if other != one:
                above = above * other % PRIME
                below = below * (other - one) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return weights


def recover(shares: Sequence[int], weights: Sequence[int], whose: str) -> bytes:
    """The secret, 32 bytes.

    Raises:
        WrongShare: the shares are not all of one polynomial with a secret of 32 bytes. Shares that were chosen with
            care can still give a wrong secret: who recovers one compares it with what is known of it.
    """
    value = sum(weight * share for weight, share in zip(weights, shares, strict=True)) % PRIME
    if value >> (8 * SECRET_BYTES):
        raise WrongShare(f"{len(shares)} shares of a secret of {whose} do not belong together")
    return value.to_bytes(SECRET_BYTES, "big")


def share_value(share: bytes) -> int:
    """The number that a share is; raises `MalformedMessage` for what is no element of the field."""
    value = int.from_bytes(share, "big")
    if len(share) != SHARE_BYTES or value >= PRIME:
        raise MalformedMessage(f"a share has {SHARE_BYTES} bytes and is below 2^521 − 1; got {len(share)} bytes")
    return value
