"""Bulk import: all lines or none, each bad one named, the same again no change, and little memory."""

import asyncio
import json
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from feature_store.catalogue import read_catalogue
from feature_store.catalogue_import import CheckedFile, Imported, ImportPlan, checked_file, import_checked
from feature_store.errors import BadInput, MalformedLine
from feature_store.item_schemas import Product, StoredItem, item_of, item_to_bytes, names_and_numbers
from feature_store.item_store import items_of
from feature_store.item_store_memory import InMemoryItemStore

GOODS = ImportPlan("e-commerce", "product")
FILMS = ImportPlan("films", "item")


def silent(doing: str, done: int) -> None:
    """Progress that nobody watches."""


def written(folder: Path, text: str, name: str = "items.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def checked(path: Path, plan: ImportPlan = FILMS) -> CheckedFile:
    return checked_file(path, plan, silent)


def imported(path: Path, store: InMemoryItemStore, plan: ImportPlan = FILMS, *, replace: bool = False) -> Imported:
    return asyncio.run(import_checked(checked(path, plan), store, silent, replace=replace))


def stored(store: InMemoryItemStore, vertical: str = "films") -> dict[str, StoredItem]:
    async def all_of() -> dict[str, StoredItem]:
        return {item.item_id: item async for item in items_of(store, vertical)}

    return asyncio.run(all_of())


def test_columns_become_fields_and_further_ones_names_and_numbers(tmp_path: Path) -> None:
    text = "item_id,title,category,price,stock,colour,grams,secret\n1,Tea,hot|green,2.50,3,red|blue,100,x\n2,,,,,,,y\n"
    plan = ImportPlan("e-commerce", "product", constants={"currency": "EUR"}, ignored=frozenset({"secret"}))
    store = InMemoryItemStore()
    assert imported(written(tmp_path, text), store, plan) == Imported(2, 2, 0)
    tea = {
        "item_id": "1",
        "title": "Tea",
        "categories": ["hot", "green"],
        "price": "2.5",
        "currency": "EUR",
        "stock": 3,
    }
    tea |= {"labels": {"colour": ["red", "blue"]}, "numbers": {"grams": 100}}
    assert stored(store, "e-commerce") == {
        "1": item_of(tea, vertical="e-commerce"),
        "2": item_of({"item_id": "2", "currency": "EUR"}, vertical="e-commerce"),
    }


def test_a_field_can_stand_in_a_column_of_another_name(tmp_path: Path) -> None:
    path = written(tmp_path, "id,name,title,category,kind\n1,Tea,not it,neither,hot\n")
    plan = ImportPlan("films", "item", columns={"item_id": "id", "title": "name", "categories": "kind"})
    store = InMemoryItemStore()
    imported(path, store, plan)
    assert stored(store)["1"] == item_of({"item_id": "1", "title": "Tea", "categories": ["hot"]}, vertical="films")


def test_a_plan_names_fields_and_columns_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="price is no field of an item of type item; these are: item_id, title"):
        ImportPlan("films", "item", constants={"price": "1"})
    with pytest.raises(MalformedLine, match="the header has no column 'name'; its columns are: 'item_id', 'title'"):
        checked(written(tmp_path, "item_id,title\n1,x\n"), ImportPlan("films", "item", columns={"title": "name"}))
    with pytest.raises(MalformedLine, match="the header has no column 'item_id'"):
        checked(written(tmp_path, "id,title\n1,x\n"))


def test_each_bad_line_is_counted_and_the_first_are_told(tmp_path: Path) -> None:
    lines = [f"{n},{n - 20}" if n < 20 else f"{n},1" for n in range(30)]
    found = checked(written(tmp_path, "item_id,stock\n" + "\n".join(lines) + "\n"), GOODS)
    assert (found.good, found.bad) == (10, 20)
    assert [fault.line for fault in found.faults] == list(range(2, 12))
    assert "items.csv, line 2: item '0': stock: Input should be greater than or equal to 0; got '-20'" in str(
        found.faults[0]
    )


def test_ids_that_stand_twice_are_bad_and_the_first_counts(tmp_path: Path) -> None:
    text = "item_id,stock\n1,5\n2,6\n1,7\n3,-1\n3,8\n1,9\n"
    path, store = written(tmp_path, text), InMemoryItemStore()
    found = checked(path, GOODS)
    assert (found.good, found.bad) == (3, 3)
    assert [(fault.line, fault.reason[:35]) for fault in found.faults] == [
        (4, "item '1' stands in line 2 already"),
        (5, "item '3': stock: Input should be gr"),
        (7, "item '1' stands in line 2 already"),
    ]
    assert imported(path, store, GOODS) == Imported(3, 3, 0)
    stocks = {i: item.stock for i, item in stored(store, "e-commerce").items() if isinstance(item, Product)}
    assert stocks == {"1": 5, "2": 6, "3": 8}


def test_bad_lines_of_json_are_counted_with_those_that_are_no_item(tmp_path: Path) -> None:
    path = written(tmp_path, '{"item_id": "1"}\n{\n{"item_id": ""}\n{"item_id": 2}\n')
    found = checked(path)
    assert (found.good, found.bad, [fault.line for fault in found.faults]) == (2, 2, [2, 3])
    store = InMemoryItemStore()
    imported(path, store)
    assert sorted(stored(store)) == ["1", "2"]


def test_lines_of_csv_with_too_few_or_too_many_fields_are_counted_with_those_that_are_no_item(tmp_path: Path) -> None:
    path, store = written(tmp_path, "item_id,stock\n1,5\n2\n3,-1\n4,6,7\n1,8\n5,9\n"), InMemoryItemStore()
    found = checked(path, GOODS)
    assert (found.good, found.bad) == (2, 4)
    assert [(fault.line, fault.reason[:25]) for fault in found.faults] == [
        (3, "has 1 fields; the header "),
        (4, "item '3': stock: Input sh"),
        (5, "has 3 fields; the header "),
        (6, "item '1' stands in line 2"),
    ]
    assert imported(path, store, GOODS) == Imported(2, 2, 0)
    assert sorted(stored(store, "e-commerce")) == ["1", "5"]
    path.write_text('item_id,stock\n1,5\n2,"6\n')
    with pytest.raises(MalformedLine, match="line 3: is not CSV"):
        checked(path, GOODS)


def test_importing_again_changes_nothing_and_a_change_changes_that_item(tmp_path: Path) -> None:
    path, store = written(tmp_path, "item_id,title\n1,a\n2,b\n3,c\n"), InMemoryItemStore()
    assert imported(path, store) == Imported(3, 3, 0)
    assert imported(path, store) == Imported(3, 0, 0)
    path.write_text("item_id,title\n1,a\n2,new\n")
    assert imported(path, store) == Imported(2, 1, 0)
    assert sorted(stored(store)) == ["1", "2", "3"]
    assert imported(path, store, replace=True) == Imported(2, 0, 1)
    assert sorted(stored(store)) == ["1", "2"]


def test_a_file_of_no_items_is_refused_as_it_would_replace_all_by_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no items"):
        checked(written(tmp_path, "item_id\n"))


def test_a_file_that_changed_since_it_was_checked_is_not_written(tmp_path: Path) -> None:
    path, store = written(tmp_path, "item_id\n1\n"), InMemoryItemStore()
    found = checked(path)
    path.write_text("item_id\n1\n2\n")
    with pytest.raises(BadInput, match="has changed since its lines were looked at"):
        asyncio.run(import_checked(found, store, silent))
    assert stored(store) == {}


def test_items_of_another_vertical_or_type_are_bad(tmp_path: Path) -> None:
    path = written(tmp_path, '{"item_id": "1", "vertical": "news"}\n{"item_id": "2", "type": "ad"}\n{"item_id": "3"}\n')
    found = checked(path)
    assert [fault.line for fault in found.faults] == [1, 2]
    assert "vertical: this import is of vertical films; got 'news'" in found.faults[0].reason
    assert checked(path, ImportPlan("films", "item", ignored=frozenset({"vertical", "type"}))).bad == 0


def test_what_a_store_holds_can_be_imported_from_its_own_lines_and_be_trained_on(tmp_path: Path) -> None:
    values = {"item_id": "1", "title": "Tea", "categories": ["hot"], "price": "2.5", "currency": "EUR", "brand": "B"}
    item = item_of({**values, "labels": {"colour": ["red"]}, "numbers": {"grams": 2}}, vertical="e-commerce")
    path, store = written(tmp_path, item_to_bytes(item).decode() + "\n"), InMemoryItemStore()
    imported(path, store, GOODS)
    assert stored(store, "e-commerce") == {"1": item}
    read = read_catalogue(path, {"type": "none", "vertical": "none", "currency": "none"})["1"]
    labels, numbers = names_and_numbers(item)
    assert (read.title, read.categories) == (item.title, item.categories)
    assert (read.labels, read.numbers) == (labels, numbers)


titles = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
made = st.lists(st.tuples(titles, st.none() | st.integers(0, 10**9)), min_size=1, max_size=20)


@settings(max_examples=30)
@given(rows=made)
def test_every_format_imports_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int | None]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    table = [
        {"item_id": f"i{n}", "title": title, "price": None if cents is None else Decimal(cents).scaleb(-2)}
        for n, (title, cents) in enumerate(rows)
    ]
    quoted = ('"' + str(row["title"]).replace('"', '""') + '"' for row in table)
    lines = [
        f"{row['item_id']},{title},{'' if row['price'] is None else row['price']}"
        for row, title in zip(table, quoted, strict=True)
    ]
    (folder / "csv").write_bytes(("item_id,title,price\n" + "\n".join(lines) + "\n").encode())
    (folder / "json").write_text("".join(json.dumps(row, default=float) + "\n" for row in table))
    schema = pa.schema([("item_id", pa.string()), ("title", pa.string()), ("price", pa.decimal128(18, 2))])
    parquet.write_table(pa.Table.from_pylist(table, schema), folder / "parquet")
    plan = ImportPlan("e-commerce", "product", constants={"currency": "EUR"})
    expected = {str(row["item_id"]): item_of({**row, "currency": "EUR"}, vertical="e-commerce") for row in table}
    for name in ("csv", "json", "parquet"):
        store = InMemoryItemStore()
        imported(folder / name, store, plan)
        assert stored(store, "e-commerce") == expected


def test_a_long_file_takes_little_memory(tmp_path: Path) -> None:
    """4,000 items weigh 6 MB as Python holds them; the pass that checks them holds 8 bytes of each."""
    path = written(tmp_path, "item_id,title\n" + "".join(f"item-{n},{'t' * 1000}\n" for n in range(4000)))
    checked(path)  # what stays for good is there now
    tracemalloc.start()
    found = checked(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.good == 4000
    assert peak < 1_000_000
