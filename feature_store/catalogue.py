"""The catalogue: what is known of each item besides who met it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from feature_store.errors import BadInput, MalformedLine, UnknownItem
from feature_store.events import LONGEST_ID
from feature_store.tabular import Table, open_table, shown
from feature_store.vocabulary import ItemVocabulary

Kind: TypeAlias = Literal["category", "number", "none"]
"""What the cells of a column are: names, separated by `|`; finite numbers; nothing that anybody should use."""

KINDS: tuple[Kind, ...] = ("category", "number", "none")


@dataclass(frozen=True, slots=True)
class Item:
    """One item. The title may be empty; categories are distinct, in the order given, and may be none.

    labels: of each further column of names those of this item, as `categories`; a column without any is left out.
    numbers: of each column of numbers that of this item; a column without one is left out.
    """

    item_id: str
    title: str = ""
    categories: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)


class Catalogue:
    """Items in the order of the catalogue, found by id.

    >>> films = Catalogue([Item("1", "Heat", ("Crime", "Drama")), Item("2", "Toy Story")])
    >>> films["2"].title, [item.item_id for item in films], "3" in films
    ('Toy Story', ['1', '2'], False)

    Raises:
        BadInput: an item id is empty or stands twice.
    """

    __slots__ = ("_by_id", "items", "vocabulary")

    items: tuple[Item, ...]
    vocabulary: ItemVocabulary

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = tuple(items)
        self.vocabulary = ItemVocabulary(item.item_id for item in self.items)
        self._by_id = dict(zip(self.vocabulary.item_ids, self.items, strict=True))

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._by_id

    def __getitem__(self, item_id: str) -> Item:
        try:
            return self._by_id[item_id]
        except KeyError:
            raise UnknownItem(f"item {item_id!r} is none of the {len(self)} items of this catalogue") from None


def read_catalogue(path: Path, kinds: Mapping[str, Kind] | None = None) -> Catalogue:
    """The items of a CSV file (plain or gzip-compressed), in its order.

    The column item_id is required. title is text, category holds names separated by `|`; both may be missing or
    empty. What any other column holds, its cells say: numbers, if there is a cell that is not empty and all such are
    finite numbers; names separated by `|`, if not. `kinds` says otherwise, by column: a maker's number is a name.
    Of the title it can say that it is a name as well, of the category that nobody should use it.

    Raises:
        BadInput: the file cannot be opened, or `kinds` names a kind that there is not.
        MalformedLine: the header has no item_id or none of the columns of `kinds`, an id is empty, too long or stands
            twice, a cell of a column that is said to hold numbers does not, or a line is no CSV.
    """
    said = dict(kinds or {})
    for column, kind in said.items():
        _require_kind(column, kind)
    with open_table(path, required=["item_id", *said]) as table:
        rows = list(_checked(table))
        held = _kinds(table, rows, said)
        return Catalogue(_items(table, rows, held))


def _require_kind(column: str, kind: str) -> None:
    if kind not in KINDS:
        raise BadInput(f"column {column!r} cannot be of kind {kind!r}; the kinds are: {', '.join(KINDS)}")
    if (column == "item_id") or (column in {"title", "category"} and kind == "number"):
        raise BadInput(f"column {column!r} cannot be of kind {kind!r}: what it holds is known by its name")


def _checked(table: Table) -> Iterator[tuple[int, list[str]]]:
    item_at = table.position("item_id")
    first_lines: dict[str, int] = {}
    for line, fields in table.rows:
        item_id = fields[item_at]
        if not 0 < len(item_id) <= LONGEST_ID:
            raise MalformedLine(table.path, line, f"an item_id has 1 to {LONGEST_ID} characters; got {len(item_id)}")
        first = first_lines.setdefault(item_id, line)
        if first != line:
            raise MalformedLine(table.path, line, f"item id {item_id!r} stands in line {first} already")
        yield line, fields


def _kinds(table: Table, rows: list[tuple[int, list[str]]], said: Mapping[str, Kind]) -> dict[str, Kind]:
    """The kind of each column but item_id, title and category, and of those where it is said."""
    held: dict[str, Kind] = {}
    for at, column in enumerate(table.columns):
        if column in said:
            held[column] = said[column]
        elif column not in {"item_id", "title", "category"}:
            cells = [fields[at] for _, fields in rows if fields[at]]
            held[column] = "number" if cells and all(math.isfinite(_number(cell)) for cell in cells) else "category"
    return held


def _items(table: Table, rows: list[tuple[int, list[str]]], held: Mapping[str, Kind]) -> Iterator[Item]:
    at = {column: position for position, column in enumerate(table.columns)}
    named = [column for column, kind in held.items() if kind == "category" and column != "category"]
    numbered = [column for column, kind in held.items() if kind == "number"]
    with_categories = "category" in at and held.get("category") != "none"
    for line, fields in rows:
        numbers = {column: _number(fields[at[column]]) for column in numbered if fields[at[column]]}
        for column, number in numbers.items():
            if not math.isfinite(number):
                cell = shown(fields[at[column]])
                raise MalformedLine(table.path, line, f"column {column!r} is to hold finite numbers; got {cell}")
        labels = {column: _split(fields[at[column]]) for column in named}
        yield Item(
            item_id=fields[at["item_id"]],
            title=fields[at["title"]] if "title" in at and held.get("title") != "none" else "",
            categories=_split(fields[at["category"]]) if with_categories else (),
            labels={column: names for column, names in labels.items() if names},
            numbers=numbers,
        )


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in map(str.strip, text.split("|")) if part))


def _number(text: str) -> float:
    """The number that the text is; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
