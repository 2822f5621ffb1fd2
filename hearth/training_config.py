"""The settings of a training, from a file and from the command line; what the command line says goes first."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feature_store.errors import BadInput
from training.settings import TrainingSettings


def training_settings(file: Path | None, options: Mapping[str, Any]) -> TrainingSettings:
    """The settings of the file, changed by the options; defaults for what neither names.

    Args:
        file: .toml or .json with fields of `TrainingSettings`, those of its parts in a table of the part's name.
        options: by the path of a setting, such as aggregation.rule; None is an option that was not given. Another
            server optimizer than the file's takes nothing of what the file says of its own.

    Raises:
        BadInput: the file is not of that form, or names a setting that there is not.
        ValidationError: an option is out of bounds, or does not go with the rest.
    """
    named = {} if file is None else _read(file)
    for path, value in options.items():
        if value is not None:
            _put(named, path, value)
    return TrainingSettings.model_validate(named)


def _read(file: Path) -> dict[str, Any]:
    text = file.read_bytes()
    readers = {".toml": tomllib.loads, ".json": json.loads}
    if file.suffix not in readers:
        raise BadInput(f"{file} is neither .toml nor .json; settings are read from one of the two")
    try:
        named = readers[file.suffix](text.decode())
    except ValueError as error:  # of UTF-8, TOML and JSON alike
        raise BadInput(f"{file} is not readable as {file.suffix[1:].upper()}: {error}") from error
    try:
        TrainingSettings.model_validate(named)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}" for fault in error.errors()]
        raise BadInput(f"{file}: {'; '.join(faults)}") from error
    settings: dict[str, Any] = named
    return settings


def _put(named: dict[str, Any], path: str, value: Any) -> None:
    table, _, name = path.rpartition(".")
    if not table:
        named[name] = value
        return
    part = dict(named.get(table, {}))
    if name == "optimizer" and part.get(name, "fedavg") != value:
        part = {}
    named[table] = {**part, name: value}
