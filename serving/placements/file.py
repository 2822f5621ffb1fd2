"""A file of placements, TOML or JSON: name -> placement."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from feature_store.errors import BadInput
from feature_store.faults import faults_of
from serving.ads.settings import require_sponsors
from serving.placements.settings import PLACEMENT_NAME, Placement
from serving.settings_text import settings_in

_ADAPTER = TypeAdapter(dict[str, Placement])


def parse_placements(file: Path, content: bytes) -> Mapping[str, Placement]:
    """The placements that a file of that name and content holds.

    Raises:
        BadInput: it holds none, or one that cannot be; the message names the file, the placement and the field.
    """
    try:
        placements = _ADAPTER.validate_python(settings_in(file, content))
    except ValidationError as error:
        raise BadInput(f"{file} is no file of placements: {faults_of(error)}") from None
    for name in placements:
        if not PLACEMENT_NAME.fullmatch(name):
            raise BadInput(f"{file}: placement {name!r} is not named like {PLACEMENT_NAME.pattern}")
    try:
        require_sponsors(placements)
    except ValueError as error:
        raise BadInput(f"{file}: {error}") from None
    if not placements:
        raise BadInput(f"{file} holds no placement; a server has at least one")
    return placements
