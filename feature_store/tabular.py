"""Text files, plain or gzip-compressed: their lines, and the rows of CSV tables with the line each begins on."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from feature_store.errors import BadInput, MalformedLine

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Row: TypeAlias = tuple[int, list[str]]
OnBad: TypeAlias = Callable[[MalformedLine], None]
"""Is told of a line that is none; where it returns, the lines behind it come."""


def refuse(fault: MalformedLine) -> None:
    """Go no further than the first line that is none."""
    raise fault


@dataclass(frozen=True, slots=True)
class Table:
    """An open CSV file. It can be gone through once, while it is open.

    columns: the names in the header, in their order.
    rows: of each record the line it begins on (the header's is 1) and its fields, as many as there are columns.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Iterator[Row]

    def position(self, column: str) -> int:
        """Which field of a row the column is; raises `MalformedLine` where the header does not name it."""
        if column not in self.columns:
            found = ", ".join(map(shown, self.columns))
            raise MalformedLine(self.path, 1, f"the header has no column {column!r}; its columns are: {found}")
        return self.columns.index(column)


@contextmanager
def open_lines(path: Path) -> Iterator[Iterator[str]]:
    """The lines of a UTF-8 file, line ends included. Whether it is compressed is told by its content, not its name.

    Raises:
        BadInput: the file cannot be opened.
        MalformedLine: a line is not UTF-8, holds a NUL, or cannot be decompressed.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    with file:
        if file.peek(2)[:2] == _GZIP:
            with gzip.GzipFile(fileobj=file) as unzipped, io.BufferedReader(unzipped) as buffered:
                yield _decoded(path, buffered)
        else:
            yield _decoded(path, file)


@contextmanager
def open_table(path: Path, required: Sequence[str] = (), on_bad: OnBad = refuse) -> Iterator[Table]:
    """A CSV file (RFC 4180, UTF-8) with a header that names at least the required columns.

    on_bad: is told of a line with another number of fields than the header's, which is no row.

    Raises:
        BadInput: the file cannot be opened.
        MalformedLine: the header lacks a column or names one twice; while the rows are gone through: a line as in
            `open_lines`, and quotes that do not pair up, as nothing can be told of what comes behind them.
    """
    with open_lines(path) as lines:
        rows = _rows(path, lines)
        columns = tuple(next(rows, (1, []))[1])
        if not columns:
            raise MalformedLine(path, 1, "there is no header that names the columns")
        if len(set(columns)) != len(columns):
            twice = next(column for column in columns if columns.count(column) > 1)
            raise MalformedLine(path, 1, f"the header names the column {twice!r} more than once")
        table = Table(path, columns, _of_width(path, rows, len(columns), on_bad))
        for column in required:
            table.position(column)
        yield table


class _Quotes:
    """How many quotes have been read. Those of a whole record pair up; `csv` alone lets `5" disc` pass."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def counted(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if '"' in line:
                self.seen += line.count('"')
            yield line


def _decoded(path: Path, file: io.BufferedIOBase) -> Iterator[str]:
    number = 0
    try:
        for number, raw in enumerate(file, 1):
            line = (raw.removeprefix(_BYTE_ORDER_MARK) if number == 1 else raw).decode()
            if "\0" in line:
                raise MalformedLine(path, number, "holds a NUL character; a text file has none")
            yield line
    except UnicodeDecodeError as error:
        raise MalformedLine(path, number, f"is not UTF-8: {error.reason} at byte {error.start} of the line") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise MalformedLine(path, number + 1, f"cannot be decompressed, here or soon after: {error}") from error


def _rows(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    quotes = _Quotes()
    reader = csv.reader(quotes.counted(lines), strict=True)
    line = 1
    try:
        for fields in reader:
            if quotes.seen % 2:
                raise MalformedLine(path, line, "its quotes do not pair up")
            if fields:  # a blank line, such as editors leave at the end, holds nothing that could be lost
                yield line, fields
            line = reader.line_num + 1  # line_num counts what has been read: a record may span lines
    except csv.Error as error:
        raise MalformedLine(path, line, f"is not CSV: {error}") from error


def _of_width(path: Path, rows: Iterator[Row], width: int, on_bad: OnBad) -> Iterator[Row]:
    for row in rows:
        if len(row[1]) == width:
            yield row
        else:
            on_bad(MalformedLine(path, row[0], f"has {len(row[1])} fields; the header names {width} columns"))


def shown(text: str, most: int = 60) -> str:
    """A field as a message may hold it: quoted, nothing that a terminal would act on, and not too long."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}... ({len(text):,} characters)"
