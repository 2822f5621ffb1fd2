"""The static text encoder: the mean of a text's token vectors, from the weights inside the wheel `wordllama`.

16 MB of 256-dimensional token vectors, distilled from larger language models. It asks nothing of a network, needs no
accelerator, and encodes some thousand titles a second.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.errors import BadInput


class StaticEncoder:
    """Encodes with a loaded `WordLlamaInference`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """The mean of the token vectors of each text, shape (texts, 256)."""
        return np.asarray(self._model.embed(list(texts)), np.float32)


def static_encoder() -> StaticEncoder:
    """The encoder with the weights of the wheel; nothing is downloaded.

    Raises:
        BadInput: the package is not installed, or its weights are not in it.
    """
    # The package sets up the root logger when it is imported, unless somebody has; the program's logs are not its own.
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    try:
        import wordllama  # noqa: PLC0415 - a tower without text does without it
    except ImportError as error:
        raise BadInput(
            f"titles are encoded with the package wordllama, which cannot be imported ({error}); install "
            f"hearth-recommender[training], or leave titles out"
        ) from error
    finally:
        root.removeHandler(silent)
    folder = Path(wordllama.__file__).parent
    try:
        model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    except FileNotFoundError as error:
        raise BadInput(f"the package wordllama in {folder} is without its weights: {error}") from error
    return StaticEncoder(model)
