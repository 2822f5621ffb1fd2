"""Masks, beside ChaCha20 written out on integers and pycryptodome's."""

import numpy as np
import pytest
from Crypto.Cipher import ChaCha20
from hypothesis import given
from hypothesis import strategies as st

from tests.training.secure_aggregation import independent
from training.secure_aggregation.masks import add_masks, keystream_bytes, word_type

keys = st.binary(min_size=32, max_size=32)


@given(keys, st.integers(0, 200))
def test_a_stream_is_that_of_two_other_implementations(key: bytes, count: int) -> None:
    stream = keystream_bytes(key, count)
    assert stream == independent.chacha20(key, count)
    assert stream == ChaCha20.new(key=key, nonce=bytes(12)).encrypt(bytes(count))


@pytest.mark.parametrize("word_bits", [8, 16, 32, 64])
def test_masks_wrap_around_and_come_off_again(word_bits: int) -> None:
    words = (1 << 18) // (word_bits // 8) * 2 + 5  # two blocks and a rest
    start = np.random.default_rng(1).integers(0, 2**word_bits - 1, words, np.uint64).astype(word_type(word_bits))
    total = start.copy()
    add_masks(total, [(bytes(32), 1), (bytes([1] * 32), -1)])
    one, other = (
        np.frombuffer(ChaCha20.new(key=key, nonce=bytes(12)).encrypt(bytes(start.nbytes)), start.dtype)
        for key in (bytes(32), bytes([1] * 32))
    )
    assert (total == start + one - other).all()
    add_masks(total, [(bytes([1] * 32), 1), (bytes(32), -1)])
    assert (total == start).all()


def test_every_bit_of_a_key_counts() -> None:
    key = bytes(32)
    streams = {keystream_bytes(key, 64)}
    for bit in range(256):
        streams.add(keystream_bytes((1 << bit).to_bytes(32, "big"), 64))
    assert len(streams) == 257
