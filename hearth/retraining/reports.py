"""Reports: two files for each retraining, NAME.html for people and NAME.json for programs, in one folder."""

from datetime import datetime
from pathlib import Path

from feature_store.durable import replace
from feature_store.errors import BadInput
from hearth.retraining.page import retraining_page
from hearth.retraining.record import RetrainingRecord, read_retraining


def write_report(folder: Path, record: RetrainingRecord) -> Path:
    """Write both, the record last; where the page is."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{record.name}.html"
    replace(page, retraining_page(record))
    replace(folder / f"{record.name}.json", record.to_bytes())
    return page


def newest_record(folder: Path) -> RetrainingRecord | None:
    """Of the retraining started last; what cannot be read is passed over."""
    for file in sorted(folder.glob("retraining-*.json"), reverse=True):
        try:
            return read_retraining(file)
        except BadInput:
            continue
    return None


def last_start(folder: Path) -> datetime | None:
    """When the last retraining with a report in that folder was started."""
    record = newest_record(folder)
    return record.started if record else None
