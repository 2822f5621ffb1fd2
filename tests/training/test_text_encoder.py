"""Text encoders: the protocol, the one inside the wheel, and how another is named."""

import logging
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput
from training.text_encoder import encoded, load_encoder
from training.text_static import static_encoder


class Lengths:
    """Encodes a text as its length and its number of spaces; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> Float32Array:
        self.asked += texts
        return np.array([[len(text), text.count(" ")] for text in texts], np.float32)


class TooFew:
    def encode(self, texts: Sequence[str]) -> Float32Array:
        return np.zeros((len(texts) - 1, 2), np.float32)


def test_equal_texts_are_encoded_once_and_empty_ones_not_at_all() -> None:
    encoder = Lengths()
    vectors = encoded(["a bc", " ", "xyz", "a bc ", ""], encoder)
    assert encoder.asked == ["a bc", "xyz"]
    unit = np.array([4, 1]) / np.sqrt(17)
    np.testing.assert_allclose(vectors, [unit, [0, 0], [1, 0], unit, [0, 0]], rtol=1e-6)
    assert encoded(["", " "], encoder).shape == (2, 0)


def test_an_encoder_that_leaves_a_text_out_is_named() -> None:
    with pytest.raises(BadInput, match=r"one row of finite numbers a text; of 2 texts TooFew gave shape \(1, 2\)"):
        encoded(["a", "b"], TooFew())


def test_the_static_encoder_knows_what_is_alike() -> None:
    encoder = load_encoder("training.text_static:static_encoder")
    cat, kitten, tractor = encoded(["a cat", "a kitten", "tractor spare parts"], encoder)
    assert cat.shape == (256,)
    assert cat @ kitten > cat @ tractor + 0.2
    np.testing.assert_array_equal(encoded(["a cat"], static_encoder())[0], cat)


def test_loading_the_static_encoder_leaves_the_programs_logs_as_they_were() -> None:
    program = (
        "import logging; from training.text_static import static_encoder; static_encoder(); "
        "print(logging.getLogger().handlers, logging.getLogger().level)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=60)
    assert done.stdout.decode().split("\n")[0] == f"[] {logging.WARNING}"


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("somewhere", "named as module:callable; got 'somewhere'"),
        (":f", "named as module:callable"),
        ("no_such_module_at_all:f", "no_such_module_at_all cannot be imported"),
        ("math:no_such_thing", "math has no callable 'no_such_thing'"),
        ("math:pi", "math has no callable 'pi'"),
        ("builtins:dict", "gave a dict, which has no method encode"),
    ],
)
def test_what_is_no_encoder_is_said(where: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        load_encoder(where)
