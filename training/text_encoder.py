"""Text encoders: from titles to vectors that do not change in training.

Titles are encoded once, on the server, before the first round; what is trained is the projection behind it.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput


class TextEncoder(Protocol):
    """What turns texts into vectors."""

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """The vectors of texts, none of them empty; shape (texts, width), whatever the width; at least one text."""
        ...


def load_encoder(where: str) -> TextEncoder:
    """The encoder that a setting names as `module:callable`; the callable gives it when called with nothing.

    Raises:
        BadInput: the setting is of another form, the module or the callable is not there, or gives no encoder.
    """
    module_name, colon, name = where.partition(":")
    if not colon or not module_name or not name.isidentifier():
        raise BadInput(f"a text encoder is named as module:callable; got {where!r}")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise BadInput(f"text encoder {where!r}: {module_name} cannot be imported: {error}") from error
    make = getattr(module, name, None)
    if not callable(make):
        raise BadInput(f"text encoder {where!r}: {module_name} has no callable {name!r}")
    encoder = make()
    if not callable(getattr(encoder, "encode", None)):
        raise BadInput(f"text encoder {where!r} gave a {type(encoder).__name__}, which has no method encode")
    loaded: TextEncoder = encoder
    return loaded


def encoded(texts: Sequence[str], encoder: TextEncoder) -> Float32Array:
    """The vectors of texts, each of length 1, shape (texts, width); zeros for a text of white space alone.

    Equal texts are encoded once.

    Raises:
        BadInput: the encoder gave other than one row of finite numbers a text.
    """
    distinct = sorted({text.strip() for text in texts} - {""})
    if not distinct:
        return np.zeros((len(texts), 0), np.float32)
    vectors = np.asarray(encoder.encode(distinct), np.float32)
    if vectors.ndim != 2 or len(vectors) != len(distinct) or not np.isfinite(vectors).all():
        raise BadInput(
            f"a text encoder gives one row of finite numbers a text; of {len(distinct)} texts "
            f"{type(encoder).__name__} gave shape {vectors.shape}"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    rows = {text: row for row, text in enumerate(distinct, 1)}
    return np.concatenate([np.zeros((1, units.shape[1]), np.float32), units])[[rows.get(t.strip(), 0) for t in texts]]
