"""From the options --interactions (or --split) and --vertical to one source, and the rows of each vertical in it."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from feature_store.catalogue import Catalogue
from feature_store.errors import BadInput
from feature_store.row_ranges import Catalogues, one_catalogue
from hearth.sources import Source
from training.verticals import joined

DEFAULT = "e-commerce"
_NAME = re.compile("[a-z0-9][a-z0-9-]{0,63}")


class Stocked(NamedTuple):
    """A source, and vertical -> rows of its vocabulary."""

    source: Source
    catalogues: Catalogues


def read_verticals(
    interactions: Path | None,
    verticals: Sequence[str],
    items: Path | None,
    read: Callable[[Path, Path | None], Source],
    option: str = "--interactions",
) -> Stocked:
    """Read one source, whose items are of the one vertical named, or the source of each vertical, as one.

    Args:
        interactions: the one source; None where each vertical has its own.
        verticals: one name or none; or name=path of each.
        items: catalogue of the one source.
        read: from a path, and a catalogue where it does not stand beside, to a source.
        option: what names the one source on the command line.

    Raises:
        BadInput: the options do not go together, a name cannot be one, or an item stands in two verticals.
    """
    if interactions is not None:
        if len(verticals) > 1 or any("=" in vertical for vertical in verticals):
            raise BadInput(
                f"{option} has the items of one --vertical NAME; for several leave it out, and give each as "
                "--vertical NAME=PATH"
            )
        name = _checked(verticals[0] if verticals else DEFAULT)
        source = read(interactions, items)
        return Stocked(source, one_catalogue(name, len(source.split.vocabulary)))
    paths: dict[str, Path] = {}
    for vertical in verticals:
        name, sign, path = vertical.partition("=")
        if not sign or not path:
            raise BadInput(f"without {option} a vertical is NAME=PATH, such as news=clicks/; got {vertical!r}")
        if _checked(name) in paths:
            raise BadInput(f"the vertical {name} is given twice: {paths[name]} and {path}")
        paths[name] = Path(path)
    if not paths:
        raise BadInput(f"there is nothing to read: give {option} PATH, or --vertical NAME=PATH once or more")
    if items is not None:
        raise BadInput(f"--items is the catalogue of {option}; that of a --vertical NAME=PATH stands in its folder")
    sources = {name: read(path, None) for name, path in paths.items()}
    split, catalogues = joined({name: source.split for name, source in sources.items()})
    notes = tuple(f"{name}: {note}" for name, source in sources.items() for note in source.notes)
    return Stocked(Source(split, _one_catalogue_of(sources.values()), notes), catalogues)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadInput(f"--vertical is a name in small letters, digits and hyphens, such as e-commerce; got {name!r}")
    return name


def _one_catalogue_of(sources: Iterable[Source]) -> Catalogue | None:
    """The items of all catalogues there are; `joined` has made sure that none stands in two."""
    listed = [item for source in sources if source.catalogue for item in source.catalogue]
    return Catalogue(listed) if listed else None
