"""Masks: the ChaCha20 keystream (RFC 8439) of a key that is used once, added to words that wrap around."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

Words: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
"""Integers mod 2^8, 2^16, 2^32 or 2^64, shape (words,)."""

_BLOCK_BYTES = 1 << 18
_NONCE = bytes(16)  # of which 4 are the counter of blocks: a key is never used for a second stream


def keystream_bytes(key: bytes, count: int) -> bytes:
    """The first so many bytes of a key's stream; key: 32 bytes, all of which count."""
    return Cipher(ChaCha20(key, _NONCE), None).encryptor().update(bytes(count))


def add_masks(total: Words, keys: Iterable[tuple[bytes, int]]) -> None:
    """Add to `total`, in place and mod 2^bits, the mask of each key that stands with 1; take away those with −1.

    The mask of a key are as many words of its stream, little-endian. It is made in blocks, in memory that stays in
    the cache: fresh memory for each mask takes three times as long.
    """
    block = _BLOCK_BYTES // total.itemsize
    zeros = memoryview(bytes(_BLOCK_BYTES))
    stream = np.empty(block, total.dtype)
    room = stream.view(np.uint8).data
    for key, sign in keys:
        encryptor = Cipher(ChaCha20(key, _NONCE), None).encryptor()
        combine = np.add if sign > 0 else np.subtract
        for start in range(0, len(total), block):
            part = total[start : start + block]
            encryptor.update_into(zeros[: part.nbytes], room)
            combine(part, stream[: len(part)], out=part)


def word_type(word_bits: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The NumPy type of words of so many bits, little-endian as they go over the wire."""
    return np.dtype(f"<u{word_bits // 8}")
