"""Bulk import: a catalogue in a file goes into a store of items, or nothing of it does.

A file may be larger than memory and a store takes items in many steps, so it is gone through twice. The first pass
looks at every line and writes nothing: if one is bad, that is the end, or with `skip_bad` it is left out. The second
writes, some items a step. Killed within it, or with a store that fails, part of the items is written; importing the
file again finishes that, as what is there already is no change. Of each item 8 bytes are held, to find ids that stand
twice.
"""

import itertools
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from feature_store.catalogue_cells import CATEGORIES, ColumnKinds, flattened, is_empty, names_in, number_in, text_in
from feature_store.catalogue_rows import Cells, Rows, open_rows
from feature_store.errors import BadInput, MalformedLine
from feature_store.item_schemas import TYPES, ItemType, StoredItem, item_of
from feature_store.item_store import START, ItemStore

_ITEMS_AT_A_TIME = 1000  # one step of a store
_LISTED = 10  # bad lines that are told one by one
_HASH = (1 << 64) - 1
_NOT_COLUMNS = frozenset({"type", "vertical", "labels", "numbers"})  # fields that no column is asked for

Told = Callable[[str, int], None]
"""Is told which pass it is, "checked" or "written", and how many lines or items are done."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """How the columns of a file become the fields of items.

    columns: field -> column that it stands in, where that is not named like the field (or category).
    constants: field -> what it is where a line says nothing of it.
    ignored: columns that are left out. All others that are no field's become names or numbers of the item.
    """

    vertical: str
    type_name: ItemType
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        fields = [name for name in TYPES[self.type_name].model_fields if name not in _NOT_COLUMNS]
        for name in (*self.columns, *self.constants):
            if name not in fields:
                raise BadInput(
                    f"{name} is no field of an item of type {self.type_name}; these are: {', '.join(fields)}"
                )


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file whose every line has been looked at.

    good, bad: how many lines are items, and how many are not.
    faults: the first of those that are not, by line.
    numeric: further columns that hold numbers.
    repeated: ids that stand in several good lines, of which the first counts.
    digests: 8 bytes of each good line's id, ascending.
    stamp: by which it is known again.
    """

    path: Path
    plan: ImportPlan
    good: int
    bad: int
    faults: tuple[MalformedLine, ...]
    numeric: frozenset[str]
    repeated: frozenset[str]
    digests: npt.NDArray[np.uint64]
    stamp: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: items of the file, those of them that were new or different, and items removed."""

    items: int
    changed: int
    removed: int


def checked_file(path: Path, plan: ImportPlan, told: Told) -> CheckedFile:
    """The first pass; raises `BadInput` where the file cannot be read on: see `open_rows`."""
    stamp = _stamp(path)
    faults: list[MalformedLine] = []
    bad = 0
    kinds, seen_columns = ColumnKinds(), dict[str, None]()
    digests = array("Q")

    def note(fault: MalformedLine) -> None:
        nonlocal bad
        bad += 1
        if len(faults) < _LISTED:
            faults.append(fault)

    with open_rows(path, note) as opened:
        _require_columns(opened, plan)
        for number, (line, cells) in enumerate(opened.rows, 1):
            row = flattened(cells)
            further = _further(plan, row)
            seen_columns.update(dict.fromkeys(further))
            kinds.note(row, further)
            try:
                item = _item(plan, row, further, frozenset())
            except BadInput as error:
                note(MalformedLine(path, line, str(error)))
            else:
                digests.append(hash(item.item_id) & _HASH)
            if number % _ITEMS_AT_A_TIME == 0:
                told("checked", number)
    if not digests and not bad:
        raise BadInput(f"{path} has no items")
    ids = np.sort(np.frombuffer(digests, np.uint64))
    repeats = list(_repeats(path, plan, set(ids[1:][ids[1:] == ids[:-1]].tolist())))
    return CheckedFile(
        path=path,
        plan=plan,
        good=len(ids) - len(repeats),
        bad=bad + len(repeats),
        faults=tuple(sorted([*faults, *(fault for _, fault in repeats)], key=lambda fault: fault.line)[:_LISTED]),
        numeric=frozenset(column for column in seen_columns if kinds.of(column) == "number"),
        repeated=frozenset(item_id for item_id, _ in repeats),
        digests=ids,
        stamp=stamp,
    )


async def import_checked(checked: CheckedFile, store: ItemStore, told: Told, *, replace: bool = False) -> Imported:
    """The second pass.

    replace: items of the vertical that the file does not have are removed, when all of the file is written.

    Raises:
        BadInput: the file is not the one that was checked.
        StoreError: part of the items may be written; importing again finishes it.
    """
    changed, items = 0, _items(checked)
    done = 0
    while batch := list(itertools.islice(items, _ITEMS_AT_A_TIME)):
        changed += await store.upsert(batch)
        done += len(batch)
        told("written", done)
    _require_same(checked)
    removed = await _remove_others(checked, store) if replace else 0
    return Imported(done, changed, removed)


def _items(checked: CheckedFile) -> Iterator[StoredItem]:
    _require_same(checked)
    plan, had = checked.plan, set[str]()
    with open_rows(checked.path, _pass_by) as opened:
        for _, cells in opened.rows:
            row = flattened(cells)
            try:
                item = _item(plan, row, _further(plan, row), checked.numeric)
            except BadInput:
                continue  # counted in the first pass
            if item.item_id in checked.repeated:
                if item.item_id in had:
                    continue
                had.add(item.item_id)
            yield item


async def _remove_others(checked: CheckedFile, store: ItemStore) -> int:
    removed, mark, more = 0, START, True
    while more:
        changes = await store.changes_since(checked.plan.vertical, mark, _ITEMS_AT_A_TIME)
        digests = np.array([hash(item_id) & _HASH for item_id in changes.changed], np.uint64)
        # An id that is not in the file and has the digest of one that is, of which there is hardly ever one, stays.
        others = np.flatnonzero(~np.isin(digests, checked.digests)).tolist()
        removed += await store.remove(checked.plan.vertical, [changes.changed[place] for place in others])
        mark, more = changes.mark, changes.more
    return removed


def _item(plan: ImportPlan, row: Cells, further: list[str], numeric: frozenset[str]) -> StoredItem:
    values: dict[str, object] = {}
    for name in TYPES[plan.type_name].model_fields:
        if name in _NOT_COLUMNS:
            continue
        column = _column(plan, name, row)
        cell = row.get(column)
        values[name] = plan.constants.get(name) if is_empty(cell) else cell
    if not is_empty(values["categories"]):
        values["categories"] = names_in(values["categories"])
    if not isinstance(values["item_id"], (str, type(None))):
        values["item_id"] = text_in(values["item_id"])
    for name, ours in (("vertical", plan.vertical), ("type", plan.type_name)):
        if name not in plan.ignored and not is_empty(theirs := row.get(name)) and theirs != ours:
            raise BadInput(
                f"item {text_in(values['item_id'])!r}: {name}: this import is of {name} {ours}; got {theirs!r}; "
                "a column that means something else is to be left out"
            )
    given = [column for column in further if not is_empty(row.get(column))]
    try:
        named = {column: names_in(row[column]) for column in given if column not in numeric}
    except BadInput as error:
        raise BadInput(f"item {text_in(values['item_id'])!r}: {error}") from None
    values["labels"] = {column: names for column, names in named.items() if names}
    values["numbers"] = {column: number_in(row[column]) for column in given if column in numeric}
    return item_of(values, vertical=plan.vertical, type_name=plan.type_name)


def _column(plan: ImportPlan, name: str, row: Cells) -> str:
    if name == "categories" and name not in plan.columns:
        return next((column for column in CATEGORIES if column in row and column not in plan.columns.values()), name)
    return plan.columns.get(name, name)


def _further(plan: ImportPlan, row: Cells) -> list[str]:
    """Columns of the row that no field stands in. One that a field is named like, and stands elsewhere, is left out."""
    used = {*TYPES[plan.type_name].model_fields, *CATEGORIES, *plan.columns.values(), *plan.ignored}
    return [column for column in row if column not in used]


def _repeats(path: Path, plan: ImportPlan, suspects: set[int]) -> Iterator[tuple[str, MalformedLine]]:
    """Ids of good lines that stand in an earlier good one, among those whose digests repeat."""
    if not suspects:
        return
    first_lines: dict[str, int] = {}
    with open_rows(path, _pass_by) as opened:
        for line, cells in opened.rows:
            row = flattened(cells)
            if hash(text_in(row.get(plan.columns.get("item_id", "item_id")))) & _HASH not in suspects:
                continue
            try:
                item_id = _item(plan, row, _further(plan, row), frozenset()).item_id
            except BadInput:
                continue
            first = first_lines.setdefault(item_id, line)
            if first != line:
                yield item_id, MalformedLine(path, line, f"item {item_id!r} stands in line {first} already")


def _require_columns(opened: Rows, plan: ImportPlan) -> None:
    if opened.columns is None:
        return
    for column in (plan.columns.get("item_id", "item_id"), *plan.columns.values()):
        if column not in opened.columns:
            found = ", ".join(map(repr, opened.columns))
            raise MalformedLine(opened.path, 1, f"the header has no column {column!r}; its columns are: {found}")


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _require_same(checked: CheckedFile) -> None:
    if _stamp(checked.path) != checked.stamp:
        raise BadInput(f"{checked.path} has changed since its lines were looked at; import it again")


def _pass_by(fault: MalformedLine) -> None:
    """It was counted in the first pass."""
