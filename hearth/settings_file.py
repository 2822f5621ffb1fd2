"""A file of settings: .toml or .json with names and values; what they mean is for whoever asked for them to say."""

import json
import tomllib
from pathlib import Path
from typing import Any

from feature_store.errors import BadInput


def read_settings(file: Path) -> dict[str, Any]:
    """What the file holds.

    Raises:
        BadInput: it is neither TOML nor JSON, or holds no names with values.
        OSError: it cannot be read.
    """
    text = file.read_bytes()
    readers = {".toml": tomllib.loads, ".json": json.loads}
    if file.suffix not in readers:
        raise BadInput(f"{file} is neither .toml nor .json; settings are read from one of the two")
    try:
        named = readers[file.suffix](text.decode())
    except ValueError as error:  # of UTF-8, TOML and JSON alike
        raise BadInput(f"{file} is not readable as {file.suffix[1:].upper()}: {error}") from error
    if not isinstance(named, dict):
        raise BadInput(f"{file} holds a {type(named).__name__}; settings are fields with values")
    return named
