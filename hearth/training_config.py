"""The settings of a training, from a file and from the command line; what the command line says goes first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feature_store.errors import BadInput
from serving.settings_text import settings_in
from training.settings import TrainingSettings


def training_settings(file: Path | None, options: Mapping[str, Any]) -> TrainingSettings:
    """The settings of the file, changed by the options; defaults for what neither names.

    Args:
        file: .toml or .json with fields of `TrainingSettings`, those of its parts in a table of the part's name.
        options: by the path of a setting, such as aggregation.rule; None is an option that was not given. Another
            server optimizer than the file's takes nothing of what the file says of its own.

    Raises:
        BadInput: the file is not of that form, or the settings, file and options together, are none that there are.
    """
    named = {} if file is None else settings_in(file, file.read_bytes())
    if isinstance(server := named.get("server"), dict):
        named["server"] = {"optimizer": "fedavg"} | server
    for path, value in options.items():
        if value is not None:
            _put(named, path, value)
    try:
        return TrainingSettings.model_validate(named)
    except ValidationError as error:
        where = (
            "settings" if file is None else f"{file}, changed by the options" if any(options.values()) else str(file)
        )
        raise BadInput(f"{where}: {'; '.join(map(_said, error.errors()))}") from error


def _said(fault: Any) -> str:
    """What is wrong with one setting, of pydantic's account of it."""
    name = ".".join(map(str, fault["loc"]))
    reason = fault["msg"].removeprefix("Value error, ")
    return f"{name}: {reason}" if name else reason


def _put(named: dict[str, Any], path: str, value: Any) -> None:
    table, _, name = path.rpartition(".")
    if not table:
        named[name] = value
        return
    part = named.get(table, {})
    if not isinstance(part, dict):
        return  # of the file, and no part: the settings refuse it, by its name
    if name == "optimizer" and part.get(name, "fedavg") != value:
        part = {}
    named[table] = {**part, name: value}
