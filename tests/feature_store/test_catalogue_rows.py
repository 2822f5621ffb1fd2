"""Catalogues in each format: the same items, the line of what is wrong, and a file larger than what is held."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from feature_store.catalogue import Item, read_catalogue
from feature_store.catalogue_rows import open_rows
from feature_store.errors import BadInput, MalformedLine

CSV = b'item_id,title,category,price,maker\n1,Tea,"hot|drinks",2.5,A\n2,,,,B|C\n'
JSON = (
    b'{"item_id": "1", "title": "Tea", "category": ["hot", "drinks"], "price": 2.5, "maker": "A"}\n\n'
    b'{"item_id": 2, "maker": ["B", "C"], "price": null}\n'
)
TEA = [
    Item("1", "Tea", ("hot", "drinks"), {"maker": ("A",)}, {"price": 2.5}),
    Item("2", "", (), {"maker": ("B", "C")}, {}),
]


def written(folder: Path, content: bytes) -> Path:
    path = folder / "items"
    path.write_bytes(content)
    return path


def as_parquet(folder: Path) -> Path:
    path = folder / "items"
    columns = {
        "item_id": pa.array([1, 2]),
        "title": pa.array(["Tea", None]),
        "categories": pa.array([["hot", "drinks"], []]),
        "price": pa.array([Decimal("2.5"), None], pa.decimal128(9, 2)),
        "maker": pa.array(["A", "B|C"]).dictionary_encode(),
    }
    parquet.write_table(pa.table(columns), path)
    return path


def test_every_format_gives_the_same_catalogue(tmp_path: Path) -> None:
    for content in (CSV, JSON):
        for packed in (bytes, gzip.compress):
            assert list(read_catalogue(written(tmp_path, packed(content)))) == TEA
    assert list(read_catalogue(as_parquet(tmp_path))) == TEA


def test_numbers_of_json_are_exact(tmp_path: Path) -> None:
    with open_rows(written(tmp_path, b'{"price": 0.1, "stock": 3}')) as opened:
        assert list(opened.rows) == [(1, {"price": Decimal("0.1"), "stock": 3})]


def test_further_columns_of_a_stored_item_stand_beside_the_others(tmp_path: Path) -> None:
    line = {"item_id": "1", "labels": {"maker": ["A"]}, "numbers": {"weight": 2}}
    path = written(tmp_path, json.dumps(line).encode())
    assert list(read_catalogue(path)) == [Item("1", "", (), {"maker": ("A",)}, {"weight": 2.0})]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b'{"item_id": "1"}\n{"item_id": \n', 2, "is not JSON"),
        (b'{"item_id": "1"}\n["2"]\n', 2, "is no JSON object"),
        (b'{"item_id": "1", "a": 1, "a": 2}\n', 1, "names 'a' more than once"),
        (b'{"item_id": "1", "a": NaN}\n', 1, "NaN is no number of JSON"),
        (b'{"item_id": "1"}\n\n{"item_id": "1"}\n', 3, "'1' stands in line 1 already"),
        (b'{"item_id": "1"}\n{"id": "1"}\n', 2, "1 to 256 characters; got 0"),
        (b'{"item_id": "1", "maker": {"name": "A"}}\n', 1, "names or a number; got the object"),
        (b'{"id": "1"}\n', 1, "1 to 256 characters; got 0"),
        (b'{"a":' * 100_000 + b"\n", 1, "is not JSON"),
    ],
)
def test_a_line_that_is_no_item_is_named(tmp_path: Path, content: bytes, line: int, reason: str) -> None:
    with pytest.raises(MalformedLine, match=reason) as caught:
        read_catalogue(written(tmp_path, content))
    assert caught.value.line == line


def test_bad_lines_of_json_can_be_told_and_passed_by(tmp_path: Path) -> None:
    told: list[MalformedLine] = []
    path = written(tmp_path, b'{"item_id": "1"}\n{\n[]\n{"item_id": "2"}\n')
    with open_rows(path, told.append) as opened:
        assert [line for line, _ in opened.rows] == [1, 4]
    assert [fault.line for fault in told] == [2, 3]


def test_parquet_that_ends_early_is_said(tmp_path: Path) -> None:
    path = as_parquet(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match="is not Parquet, though it begins so"):
        read_catalogue(path)


def test_without_pyarrow_parquet_is_refused_in_words(tmp_path: Path, missing_pyarrow: Callable[[], str]) -> None:
    as_parquet(tmp_path)
    assert "pyarrow, which reads it, is not installed; install hearth-recommender[parquet]" in missing_pyarrow()


@pytest.fixture
def missing_pyarrow(tmp_path: Path) -> Callable[[], str]:
    """What a Python says that has no pyarrow: one whose first folder of modules has a broken one of that name."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "pyarrow.py").write_text("raise ImportError('not here')")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from feature_store.catalogue import read_catalogue\n"
        "from feature_store.errors import BadInput\n"
        "try: read_catalogue(Path(sys.argv[2]))\n"
        "except BadInput as error: print(error)"
    )

    def said() -> str:
        command = [sys.executable, "-c", program, str(tmp_path / "modules"), str(tmp_path / "items")]
        return subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    return said
