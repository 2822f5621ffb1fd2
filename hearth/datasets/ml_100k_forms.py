"""The forms that MovieLens-100K is handed round in, each turned into the same three CSV files.

    RecBole      ml-100k.inter, .item, .user    tab-separated UTF-8 with typed headers; the year split off the title
    GroupLens    u.data, u.item, u.user         tabs and bars, Latin-1, no headers; a flag for each genre
    Hearth       interactions.csv.gz, ...       what the two are turned into; read again as they are

The CSV does not depend on the form: rows are sorted, title and year are told apart by one rule, gzip carries no time.
"""

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from feature_store.errors import DataUnavailable, MalformedLine
from feature_store.tabular import open_table

INTERACTIONS: Final = "interactions.csv.gz"
ITEMS: Final = "items.csv.gz"
USERS: Final = "users.csv.gz"
FILES: Final = (INTERACTIONS, ITEMS, USERS)

_HEARTH: Final = {
    INTERACTIONS: ("user_id", "item_id", "timestamp", "event", "value"),
    ITEMS: ("item_id", "title", "year", "category"),
    USERS: ("user_id", "age", "gender", "occupation", "zip_code"),
}
_RECBOLE: Final = {
    "ml-100k.inter": "user_id:token item_id:token rating:float timestamp:float",
    "ml-100k.item": "item_id:token movie_title:token_seq release_year:token class:token_seq",
    "ml-100k.user": "user_id:token age:token gender:token occupation:token zip_code:token",
}
_GROUPLENS: Final = ("u.data", "u.item", "u.user")
_GENRES: Final = (  # in the order of the flags that end a line of u.item
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_YEAR: Final = re.compile(r"\s*\((\d{4})\)")
_LARGEST: Final = 64 * 2**20  # bytes of a file in a zip file; the largest of the real ones has 2 MB


class _Row(NamedTuple):
    path: Path
    line: int
    fields: tuple[str, ...]

    def whole(self, field: int) -> int:
        """A field that is a whole number."""
        text = self.fields[field]
        if not (text.isascii() and text.isdecimal()):
            raise MalformedLine(self.path, self.line, f"field {field + 1} is a whole number; got {text!r}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Found:
    """Files by name, and the folder, wheel or zip file they were found in."""

    place: Path
    files: Mapping[str, bytes]

    def rows(self, name: str, encoding: str, separator: str, width: int) -> Iterator[_Row]:
        """The lines of a file, split; raises `MalformedLine` where one has more or fewer than `width` fields."""
        path = self.place / name
        for number, raw in enumerate(self.files[name].removesuffix(b"\n").split(b"\n"), 1):
            try:
                fields = tuple(raw.removesuffix(b"\r").decode(encoding).split(separator))
            except UnicodeDecodeError as error:
                raise MalformedLine(path, number, f"is not {encoding}: {error.reason}") from error
            if len(fields) != width:
                raise MalformedLine(path, number, f"has {len(fields)} fields; there are {width} in MovieLens-100K")
            yield _Row(path, number, fields)


def find_files(place: Path) -> Found:
    """The files of a folder, or anywhere in a wheel or zip file, that have names of one of the forms.

    Raises:
        DataUnavailable: the place is neither, cannot be read, or holds several files of a name.
    """
    names = {*_RECBOLE, *_GROUPLENS}
    try:
        if place.is_dir():
            here = [place / name for name in sorted(names | _HEARTH.keys())]
            return Found(place, {path.name: path.read_bytes() for path in here if path.is_file()})
        with zipfile.ZipFile(place) as archive:
            members = [member for member in archive.infolist() if Path(member.filename).name in names]
            files = {Path(member.filename).name: archive.read(member) for member in members if _is_small(member)}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataUnavailable(f"{place} is no folder and no wheel or zip file that can be read: {error}") from error
    if len(files) != len(members):
        found = ", ".join(f"{member.filename} ({member.file_size:,} bytes)" for member in members)
        raise DataUnavailable(f"{place} holds files twice, or larger than {_LARGEST:,} bytes: {found}")
    return Found(place, files)


def convert(found: Found) -> dict[str, bytes]:
    """The three CSV files of the first form that is whole.

    Raises:
        DataUnavailable: no form is whole.
        MalformedLine: a line is not what the form asks for.
    """
    for names, read in ((_HEARTH, _read_hearth), (_RECBOLE, _read_recbole), (_GROUPLENS, _read_grouplens)):
        if found.files.keys() >= set(names):
            ratings, films, people = (list(rows) for rows in read(found))
            break
    else:
        forms = "; ".join(", ".join(names) for names in (_HEARTH, _RECBOLE, _GROUPLENS))
        held = ", ".join(sorted(found.files)) or "none of these files"
        raise DataUnavailable(f"{found.place} holds {held}; a form of MovieLens-100K is one of: {forms}")
    for rating in ratings:
        rating.whole(4)
    ratings.sort(key=lambda row: (row.whole(2), row.fields[0], row.fields[1]))
    films.sort(key=lambda row: row.whole(0))
    people.sort(key=lambda row: row.whole(0))
    tables = {INTERACTIONS: ratings, ITEMS: films, USERS: people}
    return {name: _to_csv(_HEARTH[name], (row.fields for row in rows)) for name, rows in tables.items()}


def _is_small(member: zipfile.ZipInfo) -> bool:
    return member.file_size <= _LARGEST


def _read_hearth(found: Found) -> Iterator[Iterator[_Row]]:
    for name, columns in _HEARTH.items():
        yield _read_columns(found.place / name, columns)


def _read_columns(path: Path, columns: tuple[str, ...]) -> Iterator[_Row]:
    with open_table(path, required=columns) as table:
        positions = [table.position(column) for column in columns]
        for line, fields in table.rows:
            yield _Row(path, line, tuple(fields[position] for position in positions))


def _read_recbole(found: Found) -> Iterator[Iterator[_Row]]:
    ratings, films, people = (_read_typed(found, name, header.split()) for name, header in _RECBOLE.items())
    yield (_Row(p, line, (user, item, time, "rating", value)) for p, line, (user, item, value, time) in ratings)
    yield (
        _Row(path, line, (item, *_title_and_year(_joined(title, year)), "|".join(genres.split())))
        for path, line, (item, title, year, genres) in films
    )
    yield people


def _read_typed(found: Found, name: str, header: list[str]) -> Iterator[_Row]:
    rows = found.rows(name, "utf-8", "\t", len(header))
    first = next(rows)
    if list(first.fields) != header:
        raise MalformedLine(first.path, 1, f"the header is {first.fields}; RecBole's is {tuple(header)}")
    return rows


def _joined(title: str, year: str) -> str:
    """The title as GroupLens has it: RecBole took its last brackets for the year, be it (1995) or, once, (V)."""
    return "unknown" if title == year == "unkonwn" else f"{title} ({year})"  # so spelt there


def _read_grouplens(found: Found) -> Iterator[Iterator[_Row]]:
    ratings = found.rows("u.data", "latin-1", "\t", 4)
    yield (_Row(p, line, (user, item, time, "rating", value)) for p, line, (user, item, value, time) in ratings)
    yield (
        _Row(path, line, (item, *_title_and_year(title), _genres(path, line, rest[3:])))
        for path, line, (item, title, *rest) in found.rows("u.item", "latin-1", "|", 5 + len(_GENRES))
    )
    yield found.rows("u.user", "latin-1", "|", 5)


def _genres(path: Path, line: int, flags: list[str]) -> str:
    if not {"0", "1"}.issuperset(flags):
        raise MalformedLine(path, line, f"genres are flags 0 or 1; got {'|'.join(flags)}")
    return "|".join(genre for genre, flag in zip(_GENRES, flags, strict=True) if flag == "1")


def _title_and_year(text: str) -> tuple[str, str]:
    """The title without its last (year), and the year; an empty one where there is none.

    >>> _title_and_year("The Time of the Great Giving (1995) (V)")
    ('The Time of the Great Giving (V)', '1995')
    """
    years = list(_YEAR.finditer(text))
    if not years:
        return text.strip(), ""
    return (text[: years[-1].start()] + text[years[-1].end() :]).strip(), years[-1][1]


def _to_csv(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return gzip.compress(text.getvalue().encode(), mtime=0)
