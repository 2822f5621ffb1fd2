"""A cached data set: a folder that is there whole or not at all, its files checked against recorded digests."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from feature_store.durable import sync_folder, write_synced
from feature_store.errors import DataUnavailable

RECORD: Final = "digests.json"


def verify_entry(entry: Path, names: Collection[str]) -> str:
    """Where the files of this entry were taken from, once those of these names are there, each byte as recorded.

    Raises:
        DataUnavailable: nothing is there, or a file is not the one that was written.
    """
    if not entry.is_dir():
        raise DataUnavailable(f"nothing is kept at {entry}")
    try:
        record = json.loads((entry / RECORD).read_bytes())
        origin, digests = str(record["origin"]), {name: str(record["sha256"][name]) for name in names}
        found = {name: _sha256((entry / name).read_bytes()) for name in digests}
    except OSError as error:
        raise DataUnavailable(f"{error.filename} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataUnavailable(f"{entry / RECORD} is no record of digests: {error!r}") from error
    for name, digest in digests.items():
        if found[name] != digest:
            raise DataUnavailable(f"{entry / name} has sha256 {found[name]}; recorded is {digest}")
    return origin


def write_entry(entry: Path, files: Mapping[str, bytes], origin: str) -> None:
    """Put an entry of these files in the place of whatever is there. Whoever calls holds the cache's lock.

    A process that is killed in between leaves the old entry, the new one or none; never a part of one.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    for leftover in entry.parent.glob(f".{entry.name}.*"):
        shutil.rmtree(leftover)
    draft, old = (entry.with_name(f".{entry.name}.{secrets.token_hex(4)}") for _ in range(2))
    draft.mkdir()
    for name, content in files.items():
        write_synced(draft / name, content)
    record = {"origin": origin, "sha256": {name: _sha256(content) for name, content in files.items()}}
    write_synced(draft / RECORD, json.dumps(record, indent=2).encode())
    sync_folder(draft)
    if entry.exists():
        entry.rename(old)
    draft.rename(entry)
    sync_folder(entry.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
