"""Quality by group, as tables of a terminal."""

from collections.abc import Iterator
from dataclasses import astuple

from rich.table import Table

from hearth.terminal import table
from training.quality_groups import ItemGroup, PeopleGroup, QualityGroups

_PEOPLE = ("train items of a person", "people", "recall@20", "ndcg@20", "hr@10")
_ITEMS = ("people who met an item", "items", "held out", "recall@20", "share of lists", "ever shown")


def group_tables(groups: QualityGroups) -> Iterator[Table]:
    """One table of people by activity, one of items by popularity."""
    yield table("By activity of people", _PEOPLE, map(_row, groups.people))
    yield table("By popularity of items", _ITEMS, map(_row, groups.items))


def _row(group: PeopleGroup | ItemGroup) -> list[str]:
    least, most, *figures = astuple(group)
    written = (f"{value:,}" if isinstance(value, int) else f"{value:.4f}" for value in figures)
    return [f"{least:,}" if least == most else f"{least:,} to {most:,}", *written]
