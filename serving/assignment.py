"""Assignment: who belongs to which part of people, the same each time, and independently of any other division.

A unit (a person's id, or a recommendation's where nobody says who asks) is hashed together with a salt of its own for
each division; the hash, as a number from 0 to 1, falls into one of the parts. Nothing is stored, and every server comes
to the same.
"""

import hashlib
from collections.abc import Mapping


def fraction(salt: str, unit: str) -> float:
    """Where the unit lies, from 0 to 1.

    >>> round(fraction("trial", "anna"), 3), fraction("trial", "anna") == fraction("trial", "anna")
    (0.408, True)
    """
    key = hashlib.blake2b(salt.encode(), digest_size=16).digest()
    digest = hashlib.blake2b(unit.encode(), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "big") / 2**64


def part_of(salt: str, unit: str, shares: Mapping[str, float]) -> str | None:
    """The part that the unit falls into; None beyond the shares, which come to at most 1."""
    at, below = fraction(salt, unit), 0.0
    for name, share in shares.items():
        below += share
        if at < below:
            return name
    return None
