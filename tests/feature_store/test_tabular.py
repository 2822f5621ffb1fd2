"""Lines and CSV tables: every row with its line, every malformed line reported."""

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput, MalformedLine
from feature_store.tabular import open_lines, open_table, shown


def rows_of(path: Path) -> list[tuple[int, list[str]]]:
    with open_table(path) as table:
        return list(table.rows)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content)
    return path


# Any text but what no text file holds (NUL) and what UTF-8 cannot (half a surrogate pair).
fields = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(table=st.lists(st.lists(fields, min_size=2, max_size=2), max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_is_read_back_with_the_line_each_row_begins_on(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], end: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b"])
    expected = []
    for row in table:
        expected.append((text.getvalue().count("\n") + 1, row))
        writer.writerow(row)
    path = written(tmp_path_factory.mktemp("csv"), text.getvalue().encode())
    assert rows_of(path) == expected


def test_compression_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "plain.csv.gz", tmp_path / "zipped.csv"
    plain.write_bytes(b"a,b\n1,2\n")
    zipped.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert rows_of(plain) == rows_of(zipped) == [(2, ["1", "2"])]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    with open_table(written(tmp_path, b'\xef\xbb\xbf"a",b\n1,2\n'), required=["a"]) as table:
        assert table.columns == ("a", "b")
        assert table.position("b") == 1


def test_a_missing_column_is_named_with_the_file_and_the_columns_found(tmp_path: Path) -> None:
    path = written(tmp_path, b"user,item\n1,2\n")
    with (
        pytest.raises(MalformedLine, match=r"table\.csv, line 1: .*'item_id'.*: 'user', 'item'$"),
        open_table(path, required=["item_id"]),
    ):
        pass


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"", 1, "no header"),
        (b"a,b,a\n", 1, "'a' more than once"),
        (b"a,b\n1,2\n1,2,3\n", 3, "has 3 fields; the header names 2"),
        (b'a,b\n"1\n\n",2\n1\n', 5, "has 1 fields"),
        (b'a,b\n1,2\n3,"4\n5,6\n', 3, "not CSV"),
        (b'a,b\n1,"2\n3,"4"\n', 2, "not CSV"),
        (b'a,b\n1,2\n3,5" disc\n', 3, "quotes do not pair up"),
        (b"a,b\n1,2\n3,\x00\n", 3, "NUL"),
        (b"a,b\n1,2\n1,2\n3,\xe9\n", 4, "not UTF-8"),
        (b'a,b\n1,2\n"' + b"x" * 200_000 + b"\n", 3, "field larger than"),
    ],
)
@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_a_malformed_line_is_reported_with_file_and_line(
    tmp_path: Path, content: bytes, line: int, reason: str, packed: Callable[[bytes], bytes]
) -> None:
    path = written(tmp_path, packed(content))
    with pytest.raises(MalformedLine, match=reason) as caught:
        rows_of(path)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_rows_before_a_malformed_line_have_been_handed_out(tmp_path: Path) -> None:
    with open_table(written(tmp_path, b"a,b\n1,2\n3\n")) as table:
        assert next(table.rows) == (2, ["1", "2"])
        with pytest.raises(MalformedLine, match="line 3"):
            next(table.rows)


def test_rows_behind_one_of_another_width_come_where_that_is_told_and_not_refused(tmp_path: Path) -> None:
    told: list[MalformedLine] = []
    with open_table(written(tmp_path, b'a,b\n1,2\n3\n"4\n",5\n6,7,8\n9,10\n'), on_bad=told.append) as table:
        assert list(table.rows) == [(2, ["1", "2"]), (4, ["4\n", "5"]), (7, ["9", "10"])]
    assert [(fault.line, fault.reason) for fault in told] == [
        (3, "has 1 fields; the header names 2 columns"),
        (6, "has 3 fields; the header names 2 columns"),
    ]


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_what_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"), open_lines(tmp_path / name):
        pass


def test_blank_lines_hold_nothing_and_count_as_lines(tmp_path: Path) -> None:
    assert rows_of(written(tmp_path, b"a,b\n1,2\n\n3,4\n\n\n")) == [(2, ["1", "2"]), (4, ["3", "4"])]


def test_a_field_is_shown_quoted_without_control_characters_and_not_too_long() -> None:
    assert shown("a\x1b[2Jb") == r"'a\x1b[2Jb'"
    assert shown("9" * 5000) == f"'{'9' * 60}'... (5,000 characters)"


def test_the_last_line_needs_no_line_end(tmp_path: Path) -> None:
    with open_lines(written(tmp_path, b"one\ntwo")) as lines:
        assert list(lines) == ["one\n", "two"]


@pytest.mark.parametrize("cut", [-8, -4000])
def test_a_compressed_file_that_ends_early_is_malformed_where_its_lines_end(tmp_path: Path, cut: int) -> None:
    content = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n * n % 1009) for n in range(20_000))
    got = []
    with (
        open_table(written(tmp_path, gzip.compress(content)[:cut])) as table,
        pytest.raises(MalformedLine, match="cannot be decompressed") as caught,
    ):
        got.extend(line for line, _ in table.rows)
    assert len(got) > 15_000
    assert caught.value.line == got[-1] + 1
