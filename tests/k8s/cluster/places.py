"""Where the programs of an image lie on this machine: the project, its environment, the Python that this is of."""

import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]


def programs() -> list[Path]:
    """The folders, none within another."""
    found = {PROJECT, Path(sys.prefix), Path(sys.prefix).resolve(), Path(sys.base_prefix)}
    found |= {Path(sys.base_prefix).resolve(), Path(sys.executable).resolve().parents[1]}
    return sorted(place for place in found if not any(other in found for other in place.parents))
