"""Ties in a file, such as edges.csv.gz: read all of it, or none of it is added."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from feature_store.errors import BadInput, MalformedLine
from feature_store.item_fields import seconds
from feature_store.social_graph import SocialGraph, Tie, TieKind
from feature_store.tabular import open_table, shown

_TIES_AT_A_TIME = 500


class ImportedTies(NamedTuple):
    """How many lines there were, and how many ties of them were new."""

    lines: int
    added: int


def read_ties(
    path: Path, kind: TieKind, other: str = "friend_id", known_as: Callable[[str], str] = str
) -> Iterator[Tie]:
    """The ties of a CSV file (plain or gzip-compressed), one a line.

    Args:
        path: has the columns user_id and that of `other`; and maybe timestamp, when it began (else it is 1970).
        kind: of all of them.
        other: name of the column with the other end.
        known_as: what a graph knows the person by whose id stands in the file; raises `BadInput` for what is no id.

    Raises:
        BadInput: the file cannot be opened.
        MalformedLine: a line is no tie: an id is none, one is tied to oneself, a time is none.
    """
    with open_table(path, required=["user_id", other]) as table:
        person_at, other_at = table.position("user_id"), table.position(other)
        time_at = table.columns.index("timestamp") if "timestamp" in table.columns else None
        for line, fields in table.rows:
            written = fields[time_at] if time_at is not None else ""
            try:
                # First as it stands there: of an id that is none, something may be made that is one.
                tie = Tie(kind, fields[person_at], fields[other_at], seconds(written) if written else 0.0)
                tie = replace(tie, person=known_as(tie.person), other=known_as(tie.other))
            except BadInput as error:
                raise MalformedLine(path, line, str(error)) from None
            except ValueError as error:
                raise MalformedLine(path, line, f"timestamp: {error}; got {shown(written)}") from None
            yield tie


async def import_ties(
    path: Path, kind: TieKind, graph: SocialGraph, other: str = "friend_id", known_as: Callable[[str], str] = str
) -> ImportedTies:
    """Add the ties of a file, as `read_ties` has them; the same again adds none.

    All lines are read before the first is added: where one is bad, none is. Broken off while it adds, it has added
    some, and the same import finishes it.
    """
    for _ in read_ties(path, kind, other, known_as):
        pass
    lines = added = 0
    ties = read_ties(path, kind, other, known_as)
    while some := list(itertools.islice(ties, _TIES_AT_A_TIME)):
        lines += len(some)
        added += sum(await graph.add(some))
    return ImportedTies(lines, added)
