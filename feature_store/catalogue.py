"""The catalogue: what is known of each item besides who met it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from feature_store.errors import MalformedLine, UnknownItem
from feature_store.events import LONGEST_ID
from feature_store.tabular import Table, open_table
from feature_store.vocabulary import ItemVocabulary


@dataclass(frozen=True, slots=True)
class Item:
    """One item. The title may be empty; categories are distinct, in the order given, and may be none."""

    item_id: str
    title: str = ""
    categories: tuple[str, ...] = ()


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


def read_catalogue(path: Path) -> Catalogue:
    """The items of a CSV file (plain or gzip-compressed), in its order.

    The column item_id is required; title and category may be missing or empty, and categories are separated by `|`.
    Other columns are allowed, and nothing is made of them yet.

    Raises:
        BadInput: the file cannot be opened.
        MalformedLine: the header has no item_id, an id is empty, too long or stands twice, or a line is no CSV.
    """
    with open_table(path, required=["item_id"]) as table:
        return Catalogue(_items(table))


def _items(table: Table) -> Iterator[Item]:
    item_at = table.position("item_id")
    title_at = table.position("title") if "title" in table.columns else None
    category_at = table.position("category") if "category" in table.columns else None
    first_lines: dict[str, int] = {}
    for line, fields in table.rows:
        item_id = fields[item_at]
        if not 0 < len(item_id) <= LONGEST_ID:
            raise MalformedLine(table.path, line, f"an item_id has 1 to {LONGEST_ID} characters; got {len(item_id)}")
        first = first_lines.setdefault(item_id, line)
        if first != line:
            raise MalformedLine(table.path, line, f"item id {item_id!r} stands in line {first} already")
        title = "" if title_at is None else fields[title_at]
        categories = () if category_at is None else _split(fields[category_at])
        yield Item(item_id, title, categories)


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in map(str.strip, text.split("|")) if part))
