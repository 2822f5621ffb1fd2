"""The clients of secure aggregation written a second time, as docs/secure-aggregation.md describes them.

This shares no line with `training.secure_aggregation`: HKDF, X25519, ChaCha20 and Shamir are written out on plain
integers; AES-GCM and Ed25519 are pycryptodome's, where Hearth uses `cryptography`. It is slow and checks nothing.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil, prod
from typing import TypeAlias

import numpy as np
from Crypto.Cipher import AES
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

P = 2**521 - 1
CURVE = 2**255 - 19

Values: TypeAlias = Mapping[str, np.ndarray]
Fields: TypeAlias = Sequence[tuple[str, tuple[int, ...], float]]
Clients: TypeAlias = Sequence["Client"]


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, 32 bytes."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()


def derive(secret: bytes, salt: bytes, *parts: str) -> bytes:
    written = [b"hearth secure aggregation 1", *(part.encode() for part in parts)]
    return hkdf(secret, salt, b"".join(struct.pack(">H", len(part)) + part for part in written))


def x25519(scalar: bytes, point: bytes) -> bytes:
    """RFC 7748, section 5: the Montgomery ladder."""
    k = int.from_bytes(scalar, "little") & ~7 & ~(1 << 255) | 1 << 254
    x1 = int.from_bytes(point, "little") % 2**255 % CURVE
    x2, z2, x3, z3 = 1, 0, x1, 1
    for place in reversed(range(255)):
        if k >> place & 1:
            x2, z2, x3, z3 = *_step(x3, z3, x2, z2, x1)[2:], *_step(x3, z3, x2, z2, x1)[:2]
        else:
            x2, z2, x3, z3 = _step(x2, z2, x3, z3, x1)
    return (x2 * pow(z2, -1, CURVE) % CURVE).to_bytes(32, "little")


def _step(x2: int, z2: int, x3: int, z3: int, x1: int) -> tuple[int, int, int, int]:
    """From (m, m + 1) times the point to (2m, 2m + 1) times."""
    a, b, c, d = (x2 + z2) % CURVE, (x2 - z2) % CURVE, (x3 + z3) % CURVE, (x3 - z3) % CURVE
    aa, bb = a * a % CURVE, b * b % CURVE
    e = aa - bb
    return (
        aa * bb % CURVE,
        e * (aa + 121665 * e) % CURVE,
        (d * a + c * b) ** 2 % CURVE,
        x1 * (d * a - c * b) ** 2 % CURVE,
    )


def public(scalar: bytes) -> bytes:
    return x25519(scalar, (9).to_bytes(32, "little"))


def chacha20(key: bytes, count: int) -> bytes:
    """RFC 8439, section 2.4, nonce and first counter 0."""
    stream = b""
    for block in range(-(-count // 64)):
        start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), block, 0, 0, 0]
        state = list(start)
        for _ in range(10):
            for column in range(4):
                _quarter(state, column, 4 + column, 8 + column, 12 + column)
            for column in range(4):
                _quarter(state, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
        stream += struct.pack("<16I", *((one + other) % 2**32 for one, other in zip(state, start, strict=True)))
    return stream[:count]


def _quarter(s: list[int], a: int, b: int, c: int, d: int) -> None:
    for to, by, turned, left in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[to] = (s[to] + s[by]) % 2**32
        mixed = s[turned] ^ s[to]
        s[turned] = (mixed << left | mixed >> (32 - left)) % 2**32


def shares(secret: bytes, threshold: int, points: Iterable[int], key: bytes) -> dict[int, int]:
    drawn = chacha20(key, 66 * (threshold - 1))
    high_first = [int.from_bytes(drawn[66 * k : 66 * k + 66], "big") % 2**521 for k in range(threshold - 1)]
    coefficients = [int.from_bytes(secret, "big"), *reversed(high_first)]
    return {x: sum(c * x**power for power, c in enumerate(coefficients)) % P for x in points}


def recovered(held: Mapping[int, int]) -> bytes:
    """From point → share to the secret, Lagrange's polynomial at 0 with its fractions reduced at the end."""
    total = 0
    for x, y in held.items():
        weight = prod((Fraction(-other, x - other) for other in held if other != x), start=Fraction(1))
        total += y * weight.numerator * pow(weight.denominator, -1, P)
    return (total % P).to_bytes(66, "big")[-32:]


def step_of(bound: float, bits: int, summands: int) -> Fraction:
    most = (2 ** (bits - 1) - 1) // summands
    size = Fraction(1, 2**110)
    while ceil(Fraction(bound) / size) > most:
        size *= 2
    return size


def rounded(values: Values, fields: Fields, bits: int, summands: int) -> list[int]:
    """The integers of all fields, one after the other, rounded half to even."""
    return [
        round(Fraction(float(number)) / step_of(bound, bits, summands))
        for name, _, bound in fields
        for number in values[name].ravel()
    ]


class Terms:
    """round_id, cohort, threshold, bits and fields as (name, shape, bound)."""

    def __init__(self, round_id: str, cohort: Sequence[str], threshold: int, bits: int, fields: Fields) -> None:
        self.cohort, self.threshold, self.bits, self.fields = cohort, threshold, bits, fields
        message = b"HSA\x01\x00" + _short(round_id) + struct.pack(">H", len(cohort)) + b"".join(map(_short, cohort))
        message += struct.pack(">HBH", threshold, bits, len(fields))
        for name, shape, bound in fields:
            message += _short(name) + struct.pack(f">B{len(shape)}Id", len(shape), *shape, bound)
        self.message, self.digest = message, hashlib.sha256(message).digest()

    def head(self, kind: int) -> bytes:
        return b"HSA\x01" + bytes([kind]) + self.digest


class Client:
    """One client: what it sends at each stage, from its seed and from what all clients are."""

    def __init__(self, terms: "Terms", number: int, node_seed: bytes, seed: bytes) -> None:
        self.terms, self.number, self.name = terms, number, terms.cohort[number]
        self.node_key = ECC.construct(curve="Ed25519", seed=node_seed)
        self.secrets = {
            what: derive(seed, terms.digest, what, self.name)
            for what in ("seal key", "mask key", "own mask", "mask key polynomial", "own mask polynomial")
        }
        self.keys = public(self.secrets["seal key"]) + public(self.secrets["mask key"])

    def sign(self, text: bytes) -> bytes:
        return eddsa.new(self.node_key, "rfc8032").sign(text)

    def advertisement(self) -> bytes:
        text = b"hearth secure aggregation 1: keys\0" + self.terms.digest + struct.pack(">H", self.number) + self.keys
        return self.terms.head(1) + struct.pack(">H", self.number) + self.keys + b"\x40" + self.sign(text)

    def shares_of(self, what: str, roster: "Clients") -> dict[int, int]:
        points = [other.number + 1 for other in roster]
        return shares(self.secrets[what], self.terms.threshold, points, self.secrets[f"{what} polynomial"])

    def sealed(self, roster: "Clients") -> bytes:
        digest, parts = roster_digest(roster), []
        mask_key, own_mask = self.shares_of("mask key", roster), self.shares_of("own mask", roster)
        for other in roster:
            if other is not self:
                agreed = x25519(self.secrets["seal key"], other.keys[:32])
                key = derive(agreed, digest, "shares", self.name, other.name)
                cipher = AES.new(key, AES.MODE_GCM, nonce=bytes(12))
                named = (name.encode() for name in (self.name, other.name))
                cipher.update(digest + b"".join(struct.pack(">H", len(name)) + name for name in named))
                text = b"".join(held[other.number + 1].to_bytes(66, "big") for held in (mask_key, own_mask))
                parts.append(struct.pack(">H", other.number) + b"".join(cipher.encrypt_and_digest(text)))
        commitment = derive(self.secrets["own mask"], digest, "commitment", self.name)
        written = struct.pack(">H", len(parts)) + b"".join(parts)
        return self.terms.head(3) + struct.pack(">H", self.number) + commitment + written

    def masked(self, values: Values, roster: "Clients", sharers: "Clients") -> bytes:
        digest, bits = roster_digest(roster), self.terms.bits
        words = rounded(values, self.terms.fields, bits, len(self.terms.cohort))
        keys = [(derive(self.secrets["own mask"], digest, "own mask", self.name), 1)]
        for other in sharers:
            if other is not self:
                agreed = x25519(self.secrets["mask key"], other.keys[32:])
                key = derive(agreed, digest, "pair mask", *sorted((self.name, other.name)))
                keys.append((key, 1 if self.number > other.number else -1))
        size = bits // 8
        for key, sign in keys:
            stream = chacha20(key, size * len(words))
            words = [
                word + sign * int.from_bytes(stream[size * place : size * place + size], "little")
                for place, word in enumerate(words)
            ]
        content = b"".join((word % 2**bits).to_bytes(size, "little") for word in words)
        return self.terms.head(5) + struct.pack(">HI", self.number, len(content)) + content

    def agreement(self, roster: "Clients", sharers: "Clients", survivors: "Clients") -> bytes:
        text = b"hearth secure aggregation 1: survivors\0" + roster_digest(roster)
        text += b"".join(
            struct.pack(f">H{len(some)}H", len(some), *(one.number for one in some)) for some in (sharers, survivors)
        )
        return self.terms.head(7) + struct.pack(">H", self.number) + b"\x40" + self.sign(text)

    def unmasking(self, roster: "Clients", sharers: "Clients", survivors: "Clients") -> bytes:
        lists = []
        for what, those in (("own mask", survivors), ("mask key", [one for one in sharers if one not in survivors])):
            held = [
                struct.pack(">H", one.number) + one.shares_of(what, roster)[self.number + 1].to_bytes(66, "big")
                for one in those
            ]
            lists.append(struct.pack(">H", len(held)) + b"".join(held))
        return self.terms.head(9) + struct.pack(">H", self.number) + b"".join(lists)


def roster_digest(roster: "Clients") -> bytes:
    content = b"".join(struct.pack(">H", one.number) + one.keys for one in roster)
    return hashlib.sha256(b"hearth secure aggregation 1: roster\0" + roster[0].terms.digest + content).digest()


def _short(text: str) -> bytes:
    return bytes([len(text.encode())]) + text.encode()
