"""The text of a file of settings, .toml or .json, as names and values; what they mean is for the reader to say."""

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from feature_store.errors import BadInput

_READERS: Mapping[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".json": json.loads}


def settings_in(file: Path, content: bytes) -> dict[str, Any]:
    """What the content of that file says. Raises `BadInput`: it is neither TOML nor JSON, or no names with values."""
    if file.suffix not in _READERS:
        raise BadInput(f"{file} is neither .toml nor .json; settings are read from one of the two")
    try:
        named = _READERS[file.suffix](content.decode())
    except RecursionError:
        raise BadInput(f"{file} is not readable as {file.suffix[1:].upper()}: it is nested too deeply") from None
    except ValueError as error:  # of UTF-8, TOML and JSON alike
        raise BadInput(f"{file} is not readable as {file.suffix[1:].upper()}: {error}") from error
    if not isinstance(named, dict):
        raise BadInput(f"{file} holds a {type(named).__name__}; settings are names with values")
    return named
