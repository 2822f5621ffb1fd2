"""`hearth items`: a catalogue goes in whole or not at all, and people and programs are told what came of it."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hearth.command import Command, Ended

GOODS = "item_id,name,price,stock\n1,Tea,2.50,3\n2,Milk,0.89,0\n3,Rye bread,3.10,\n"
OPTIONS = ("--vertical", "e-commerce", "--column", "title=name", "--set", "currency=EUR")


@pytest.fixture(scope="module")
def hearth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Ended]]:
    with Command(tmp_path_factory.mktemp("home")).server() as run:
        yield run


@pytest.fixture
def goods(tmp_path: Path) -> Path:
    path = tmp_path / "goods.csv.gz"
    path.write_bytes(gzip.compress(GOODS.encode()))
    return path


def test_a_catalogue_is_imported_shown_counted_and_items_are_removed(
    hearth: Callable[..., Ended], goods: Path, tmp_path: Path
) -> None:
    store = ("--store", tmp_path / "items.sqlite")
    done = hearth("items", "import", goods, *OPTIONS, *store, "--json").json()
    assert done == {
        "vertical": "e-commerce",
        "type": "product",
        "items": 3,
        "changed": 3,
        "removed": 0,
        "bad": 0,
        "faults": [],
        "numbers": [],
        "count": 3,
        "version": 3,
    }
    again = hearth("items", "import", goods, *OPTIONS, *store)
    assert "3 items" in again.stdout
    assert "0 new or different" in again.stdout
    shown = hearth("items", "show", "2", *store, "--vertical", "e-commerce", "--json").json()
    milk = {"type": "product", "item_id": "2", "vertical": "e-commerce", "title": "Milk"}
    assert shown["items"] == [{**milk, "price": "0.89", "currency": "EUR", "stock": 0}]
    assert "Rye bread" in hearth("items", "show", *store, "--vertical", "e-commerce").stdout
    removed = hearth("items", "remove", "2", "9", *store, "--vertical", "e-commerce", "--json").json()
    assert removed == {"vertical": "e-commerce", "removed": 1, "not_there": 1}
    assert hearth("items", "count", *store, "--json").json() == {"items": {"e-commerce": 2}}
    gone = hearth("items", "show", "2", *store, "--vertical", "e-commerce")
    assert "e-commerce has no item '2'" in gone.error()
    nowhere = tmp_path / "slip.sqlite"
    assert f"there is no store {nowhere}" in hearth("items", "count", "--store", nowhere).error()
    assert not nowhere.exists()


def test_one_bad_line_refuses_all_unless_it_may_be_skipped(hearth: Callable[..., Ended], tmp_path: Path) -> None:
    path, store = tmp_path / "goods.csv", tmp_path / "items.sqlite"
    path.write_text(GOODS.replace("0.89", "cheap"))
    refused = hearth("items", "import", path, *OPTIONS, "--store", store)
    assert refused.status == 1
    assert "1 of 3 lines" in refused.stderr
    assert "goods.csv, line 3: item '2': price: an amount of money" in refused.stderr
    assert not store.exists()
    skipped = hearth("items", "import", path, *OPTIONS, "--store", store, "--skip-bad", "--json").json()
    assert (skipped["items"], skipped["bad"], skipped["count"]) == (2, 1, 2)
    assert skipped["faults"][0]["line"] == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--column", "title"), "--column is FIELD=..., such as --column title=name; got 'title'"),
        (("--column", "title=a", "--column", "title=b"), "--column is given twice for title: 'a' and 'b'"),
        (("--column", "colour=name"), "colour is no field of an item of type product"),
        (("--column", "title=none"), "the header has no column 'none'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    hearth: Callable[..., Ended], goods: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    arguments = ("items", "import", goods, "--vertical", "e-commerce", "--store", tmp_path / "i.sqlite", *options)
    assert said in hearth(*arguments).error()
