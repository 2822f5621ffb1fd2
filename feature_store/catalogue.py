"""The catalogue: what is known of each item besides who met it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from feature_store.catalogue_cells import (
    CATEGORIES,
    KINDS,
    OF_EVERY_ITEM,
    Kind,
    column_kinds,
    flattened,
    is_empty,
    names_in,
    number_in,
    text_in,
)
from feature_store.catalogue_rows import Cells, Rows, open_rows
from feature_store.errors import BadInput, MalformedLine, UnknownItem
from feature_store.events import LONGEST_ID
from feature_store.tabular import shown
from feature_store.vocabulary import ItemVocabulary

__all__ = ["KINDS", "Catalogue", "Item", "Kind", "read_catalogue"]


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
    """The items of a file as `feature_store.catalogue_rows` reads them (CSV, JSON Lines, Parquet), in its order.

    The column item_id is required. title is text, category (or categories) holds names, in a text separated by `|`;
    both may be missing or empty. What any other column holds, its cells say: numbers, if there is a cell that is not
    empty and all such are finite numbers; names, if not. `kinds` says otherwise, by column: a maker's number is a
    name. Of the title it can say that it is a name as well, of the category that nobody should use it.

    Raises:
        BadInput: the file cannot be opened, or `kinds` names a kind that there is not.
        MalformedLine: the header has no item_id or none of the columns of `kinds`, an id is empty, too long or stands
            twice, a cell of a column that is said to hold numbers does not, or a line is none of its format.
    """
    said = dict(kinds or {})
    for column, kind in said.items():
        _require_kind(column, kind)
    with open_rows(path) as opened:
        if opened.columns is not None:  # said before anything in a line is
            _require_columns(path, opened.columns, said)
        rows = list(_checked(opened))
    columns = opened.columns or tuple(dict.fromkeys(column for _, row in rows for column in row))
    _require_columns(path, columns, said)
    further = [column for column in columns if column not in OF_EVERY_ITEM]
    found = column_kinds((row for _, row in rows), further)
    held = {**{column: said.get(column, found[column]) for column in further}, **said}
    return Catalogue(_items(path, rows, held))


def _require_kind(column: str, kind: str) -> None:
    if kind not in KINDS:
        raise BadInput(f"column {column!r} cannot be of kind {kind!r}; the kinds are: {', '.join(KINDS)}")
    if (column == "item_id") or (column in OF_EVERY_ITEM and kind == "number"):
        raise BadInput(f"column {column!r} cannot be of kind {kind!r}: what it holds is known by its name")


def _require_columns(path: Path, columns: Sequence[str], said: Iterable[str]) -> None:
    for column in ("item_id", *said):
        if column not in columns:
            found = ", ".join(map(shown, columns))
            raise MalformedLine(path, 1, f"the header has no column {column!r}; its columns are: {found}")


def _checked(opened: Rows) -> Iterator[tuple[int, Cells]]:
    first_lines: dict[str, int] = {}
    for line, cells in opened.rows:
        row = flattened(cells)
        item_id = text_in(row.get("item_id"))
        if not 0 < len(item_id) <= LONGEST_ID:
            raise MalformedLine(opened.path, line, f"an item_id has 1 to {LONGEST_ID} characters; got {len(item_id)}")
        first = first_lines.setdefault(item_id, line)
        if first != line:
            raise MalformedLine(opened.path, line, f"item id {item_id!r} stands in line {first} already")
        yield line, row


def _items(path: Path, rows: Iterable[tuple[int, Cells]], held: Mapping[str, Kind]) -> Iterator[Item]:
    named = [column for column, kind in held.items() if kind == "category" and column not in CATEGORIES]
    numbered = [column for column, kind in held.items() if kind == "number"]
    titled = held.get("title") != "none"
    categories = [column for column in CATEGORIES if held.get(column) != "none"]
    for line, row in rows:
        numbers = {column: number_in(row[column]) for column in numbered if not is_empty(row.get(column))}
        for column, number in numbers.items():
            if not math.isfinite(number):
                cell = shown(text_in(row[column]))
                raise MalformedLine(path, line, f"column {column!r} is to hold finite numbers; got {cell}")
        try:
            labels = {column: names_in(row.get(column)) for column in named}
            yield Item(
                item_id=text_in(row["item_id"]),
                title=text_in(row.get("title")) if titled else "",
                categories=tuple(dict.fromkeys(name for column in categories for name in names_in(row.get(column)))),
                labels={column: names for column, names in labels.items() if names},
                numbers=numbers,
            )
        except BadInput as error:
            raise MalformedLine(path, line, str(error)) from None
