"""Noise: Gaussian numbers from a stream that nobody can foresee.

Whoever foresees the noise takes it off again. So the numbers are made from ChaCha20 under a key of the operating
system's, and not from a generator for simulations, whose state follows from a few hundred of its numbers. A key of
one's own is for tests.

What this is not: exact. Numbers of 53 bits leave gaps that sums of floats show (Mironov 2012, "On significance of the
least significant bits for differential privacy"). A fixed-point sum under secure aggregation takes rounded noise
(docs/privacy.md says what that asks for).
"""

import os
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from feature_store.arrays import Float64Array
from feature_store.errors import BadInput

KEY_BYTES = 32
Noise: TypeAlias = Callable[[int], Float64Array]
"""From a count to so many independent numbers of mean 0 and variance 1; other numbers each time."""


def secure_noise() -> Noise:
    """Noise under keys of the operating system's, a new one each time."""
    return lambda numbers: normal_numbers(os.urandom(KEY_BYTES), numbers)


def repeatable_noise(seed: int) -> Noise:
    """The same noise each time a program runs, for tests and measurements: who knows the seed knows the noise."""
    draws = count()
    return lambda numbers: normal_numbers(sha256(f"{seed}/{next(draws)}".encode()).digest(), numbers)


def normal_numbers(key: bytes, numbers: int) -> Float64Array:
    """So many independent normal numbers that follow from the key (Box and Muller 1958, over ChaCha20)."""
    if len(key) != KEY_BYTES:
        raise BadInput(f"a key of noise has {KEY_BYTES} bytes; got {len(key)}")
    pairs = -(-numbers // 2)
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor().update(bytes(16 * pairs))
    bits = np.frombuffer(stream, "<u8").reshape(2, pairs) >> np.uint64(11)
    uniform = (bits + 1.0) * 2.0**-53  # above 0, as a logarithm is taken of it, and at most 1
    radius, angle = np.sqrt(-2 * np.log(uniform[0])), 2 * np.pi * uniform[1]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:numbers]


def share_deviation(deviation: float, parties: int, may_be_missing: int) -> float:
    """The standard deviation of one party's share of noise, such that the shares of those who stay reach `deviation`.

    Where cells add noise themselves, before a secure aggregation, nobody knows the sum without it. The sum has the
    wanted variance if `may_be_missing` parties drop out, or tell others their share, and more if fewer do.

    >>> share_deviation(3.0, parties=10, may_be_missing=1)
    1.0
    """
    if not 0 <= may_be_missing < parties:
        raise BadInput(f"of {parties} parties at least one adds noise that counts; got {may_be_missing} that may not")
    return float(deviation / np.sqrt(parties - may_be_missing))
