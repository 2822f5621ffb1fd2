"""The rows of a catalogue in a file: CSV, JSON Lines (both plain or gzip-compressed) or Parquet, told by its content.

Rows come one by one, so that a file may be larger than memory. Cells come as the file has them: text of CSV; of JSON
and Parquet numbers, lists and objects too, numbers with a point as exact decimals where the file is exact.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeAlias

from feature_store.errors import BadInput, MalformedLine
from feature_store.tabular import OnBad, open_lines, open_table, refuse

Cells: TypeAlias = Mapping[str, object]

_PARQUET = b"PAR1"
_ROWS_AT_A_TIME = 4096  # of Parquet, held in memory


@dataclass(frozen=True, slots=True)
class Rows:
    """An open file. It can be gone through once, while it is open.

    columns: those of the header or the schema; None for JSON Lines, where each line may name others.
    rows: of each record the line it begins on (of Parquet: the row, the first is 1) and its cells, empty ones included.
    """

    path: Path
    columns: tuple[str, ...] | None
    rows: Iterator[tuple[int, Cells]]


@contextmanager
def open_rows(path: Path, on_bad: OnBad = refuse) -> Iterator[Rows]:
    """The rows of the file.

    on_bad: is told of a line that is no JSON object, or of CSV of one that has not as many fields as the header. Of
        what comes behind other faults (quotes that do not pair up, damaged Parquet) nothing could be told: they raise.

    Raises:
        BadInput: the file cannot be opened, or is Parquet and pyarrow is not installed.
        MalformedLine: here or while the rows are gone through: the file is not what its beginning says.
    """
    if _begins(path) == _PARQUET:
        with _open_parquet(path) as rows:
            yield rows
        return
    with open_lines(path) as lines:
        first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        with open_lines(path) as lines:
            yield Rows(path, None, _json_rows(path, lines, on_bad))
        return
    with open_table(path, on_bad=on_bad) as table:
        columns = table.columns
        yield Rows(path, columns, ((line, dict(zip(columns, fields, strict=True))) for line, fields in table.rows))


def _begins(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_PARQUET))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error


def _json_rows(path: Path, lines: Iterator[str], on_bad: OnBad) -> Iterator[tuple[int, Cells]]:
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_object)
        except (ValueError, RecursionError, InvalidOperation) as error:
            on_bad(MalformedLine(path, line, f"is not JSON: {error}"))
            continue
        if isinstance(row, dict):
            yield line, row
        else:
            on_bad(MalformedLine(path, line, "is no JSON object; each line of JSON Lines is one"))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {next(name for name in names if names.count(name) > 1)!r} more than once")
    return row


def _no_number(word: str) -> object:
    raise ValueError(f"{word} is no number of JSON")


@contextmanager
def _open_parquet(path: Path) -> Iterator[Rows]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional extra
        from pyarrow import parquet  # noqa: PLC0415 - see above
    except ImportError as error:
        raise BadInput(
            f"{path} is Parquet, and pyarrow, which reads it, is not installed; install "
            "hearth-recommender[parquet], or write the catalogue as CSV or JSON Lines"
        ) from error
    try:
        file = parquet.ParquetFile(path, memory_map=False)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} is not Parquet, though it begins so: {error}") from error
    with file:
        yield Rows(path, tuple(file.schema_arrow.names), _parquet_rows(path, file, pa.ArrowException))


def _parquet_rows(path: Path, file: "object", fault: type[Exception]) -> Iterator[tuple[int, Cells]]:
    number = 0
    try:
        for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME):  # type: ignore[attr-defined]  # pyarrow has no types
            for row in batch.to_pylist(maps_as_pydicts="strict"):
                number += 1
                yield number, row
    except (fault, OSError) as error:
        raise MalformedLine(path, number + 1, f"cannot be read, here or soon after: {error}") from error
