"""The catalogue: items in order, found by id."""

import gzip
import os
from pathlib import Path

import pytest

from feature_store.catalogue import Catalogue, Item, Kind, read_catalogue
from feature_store.errors import BadInput, MalformedLine, UnknownItem


def written(folder: Path, text: str) -> Path:
    path = folder / "items.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_items_keep_their_order_titles_and_categories(tmp_path: Path) -> None:
    path = written(tmp_path, 'category,item_id,title\nCrime|Drama,b,"Boot, Das"\n,a,\n| x ||x|y,c,Ü\n')
    catalogue = read_catalogue(path)
    assert list(catalogue) == [Item("b", "Boot, Das", ("Crime", "Drama")), Item("a"), Item("c", "Ü", ("x", "y"))]
    assert catalogue.vocabulary.item_ids == ("b", "a", "c")
    assert catalogue["a"] == Item("a")
    assert len(catalogue) == 3
    assert "c" in catalogue
    assert "d" not in catalogue


TABLE = "item_id,title,price,brand,maker,empty\n1,Tea,2.5,A|B,69,\n2,Milk,,A,2,\n3,,-1e3,,,\n"


def test_a_column_of_numbers_holds_numbers_and_any_other_names(tmp_path: Path) -> None:
    tea, milk, third = read_catalogue(written(tmp_path, TABLE))
    assert tea == Item("1", "Tea", (), {"brand": ("A", "B")}, {"price": 2.5, "maker": 69.0})
    assert milk == Item("2", "Milk", (), {"brand": ("A",)}, {"maker": 2.0})
    assert third == Item("3", "", (), {}, {"price": -1000.0})


def test_one_cell_that_is_no_finite_number_makes_a_column_one_of_names(tmp_path: Path) -> None:
    for cell in ("unknown", "nan", "inf"):
        catalogue = read_catalogue(written(tmp_path, f"item_id,year\n1,1995\n2,{cell}\n"))
        assert [item.labels for item in catalogue] == [{"year": ("1995",)}, {"year": (cell,)}]


def test_what_a_column_holds_can_be_said(tmp_path: Path) -> None:
    path = written(tmp_path, TABLE)
    tea = read_catalogue(path, {"maker": "category", "price": "none", "title": "category"})["1"]
    assert tea == Item("1", "Tea", (), {"brand": ("A", "B"), "maker": ("69",), "title": ("Tea",)})
    assert read_catalogue(path, {"title": "none"})["1"].title == ""
    assert read_catalogue(written(tmp_path, "item_id,category\n1,x\n"), {"category": "none"})["1"].categories == ()


@pytest.mark.parametrize(
    ("column", "kind", "reason"),
    [
        ("brand", "text", "column 'brand' cannot be of kind 'text'; the kinds are: category, number, none"),
        ("item_id", "none", "column 'item_id' cannot be of kind 'none'"),
        ("category", "number", "column 'category' cannot be of kind 'number'"),
        ("colour", "category", "no column 'colour'"),
        ("brand", "number", r"line 2: column 'brand' is to hold finite numbers; got 'A\|B'"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(tmp_path: Path, column: str, kind: Kind, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        read_catalogue(written(tmp_path, TABLE), {column: kind})


def test_the_id_alone_is_enough(tmp_path: Path) -> None:
    assert list(read_catalogue(written(tmp_path, "item_id\n7\n"))) == [Item("7")]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("id,title\n1,x\n", 1, "no column 'item_id'"),
        ("item_id,title\n1,x\n,y\n", 3, "1 to 256 characters; got 0"),
        (f"item_id\n{'1' * 256}\n{'2' * 257}\n", 3, "1 to 256 characters; got 257"),
        ('item_id,title\n1,"two\nlines"\n2,x\n1,y\n', 5, "'1' stands in line 2 already"),
    ],
)
def test_a_line_that_is_no_item_is_reported(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(MalformedLine, match=reason) as caught:
        read_catalogue(path)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_an_unknown_item_is_named() -> None:
    with pytest.raises(UnknownItem, match="'x' is none of the 1 items"):
        Catalogue([Item("a")])["x"]


def test_a_catalogue_of_two_items_with_one_id_is_refused() -> None:
    with pytest.raises(BadInput, match="'a' stands more than once"):
        Catalogue([Item("a", "first"), Item("a", "second")])


@pytest.mark.slow
def test_the_catalogues_of_the_shared_data_are_read() -> None:
    if "HEARTH_DATA" not in os.environ:
        pytest.skip("HEARTH_DATA does not name the folder of the real data sets")
    data = Path(os.environ["HEARTH_DATA"])
    sizes = {
        name: len(read_catalogue(data / name / "items.csv.gz"))
        for name in ("movielens_100k", "complete_journey", "globo_news", "lastfm_2k", "online_retail")
    }
    assert sizes == {
        "movielens_100k": 1682,
        "complete_journey": 52426,
        "globo_news": 22435,
        "lastfm_2k": 17632,
        "online_retail": 3791,
    }
