"""The cells of a catalogue: what a column holds, and the names, numbers and text in a cell of whatever format."""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal, TypeAlias

from feature_store.errors import BadInput

Kind: TypeAlias = Literal["category", "number", "none"]
"""What the cells of a column are: names, in a text with `|` between; finite numbers; nothing to be used."""

KINDS: tuple[Kind, ...] = ("category", "number", "none")
CATEGORIES = ("category", "categories")  # as tables and JSON call the names that an item stands under
OF_EVERY_ITEM = frozenset({"item_id", "title", *CATEGORIES})  # columns whose kind is known by their name
_NESTED = ("labels", "numbers")  # as a stored item has its further columns


def is_empty(cell: object) -> bool:
    """Whether the cell says nothing."""
    return cell is None or cell in ("", [], {})


def text_in(cell: object) -> str:
    """The cell as text; empty for one that says nothing."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return cell if isinstance(cell, str) else str(cell)


def number_in(cell: object) -> float:
    """The number that the cell is; NaN where it is none."""
    if isinstance(cell, (str, int, float, Decimal)) and not isinstance(cell, bool):
        try:
            return float(cell)
        except (ValueError, OverflowError):
            return math.nan
    return math.nan


def names_in(cell: object) -> tuple[str, ...]:
    """The different names in the cell, in their order; raises `BadInput` for an object, which holds none."""
    if isinstance(cell, Mapping):
        raise BadInput(f"a cell holds names or a number; got the object {cell!r}"[:200])
    parts = map(text_in, cell) if isinstance(cell, (list, tuple)) else text_in(cell).split("|")
    return tuple(dict.fromkeys(part for part in map(str.strip, parts) if part))


def flattened(cells: Mapping[str, object]) -> Mapping[str, object]:
    """The row with the columns within `labels` and `numbers`, where these are objects, beside the others."""
    nested = [name for name in _NESTED if isinstance(cells.get(name), Mapping)]
    if not nested:
        return cells
    row = {name: cell for name, cell in cells.items() if name not in nested}
    for name in nested:
        within = cells[name]
        if isinstance(within, Mapping):
            row.update(within)
    return row


class ColumnKinds:
    """What columns hold, found out row by row: numbers where all cells that are not empty are finite numbers."""

    __slots__ = ("_all_numbers",)

    def __init__(self) -> None:
        self._all_numbers: dict[str, bool] = {}

    def note(self, cells: Mapping[str, object], columns: Iterable[str]) -> None:
        """Look at these columns of a row."""
        for column in columns:
            if self._all_numbers.get(column, True) and not is_empty(cell := cells.get(column)):
                self._all_numbers[column] = math.isfinite(number_in(cell))

    def of(self, column: str) -> Kind:
        """What the column holds, as far as rows have been looked at."""
        return "number" if self._all_numbers.get(column) else "category"


def column_kinds(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> dict[str, Kind]:
    """What each of the columns holds."""
    kinds = ColumnKinds()
    for row in rows:
        kinds.note(row, columns)
    return {column: kinds.of(column) for column in columns}
