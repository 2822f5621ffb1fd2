"""Logged impressions of ads, as a file has them, in the order of their time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from feature_store.arrays import BoolArray, Float64Array, Int32Array
from feature_store.errors import BadInput, MalformedLine
from feature_store.tabular import open_table, shown

_CLICKED = {"0": False, "1": True, "false": False, "true": True}


@dataclass(frozen=True, slots=True, eq=False)
class Impressions:
    """All arrays have shape (n,), in the order of time.

    ads: distinct ids.
    ad: of each impression which of them was shown.
    times: in seconds since 1970, never falling.
    positions: from 1.
    scores: as logged; None where the file has no such column.
    """

    ads: tuple[str, ...]
    ad: Int32Array
    times: Float64Array
    positions: Int32Array
    clicked: BoolArray
    scores: Float64Array | None

    def __len__(self) -> int:
        return len(self.ad)

    def part(self, start: int, end: int) -> "Impressions":
        """Those from one to before another."""
        at = slice(start, end)
        scores = None if self.scores is None else self.scores[at]
        return Impressions(self.ads, self.ad[at], self.times[at], self.positions[at], self.clicked[at], scores)


def read_impressions(path: Path, score: str | None = None) -> Impressions:
    """Those of a CSV file: item_id, timestamp (seconds since 1970), clicked (0 or 1) and, where it has it, position.

    score: the column of the scores; None for none.

    Raises:
        BadInput: the file cannot be read, or has no impressions.
        MalformedLine: a line is none.
    """
    required = ["item_id", "timestamp", "clicked", *([score] if score else [])]
    ads: dict[str, int] = {}
    rows: list[tuple[int, float, int, bool, float]] = []
    with open_table(path, required) as table:
        at = [table.position(column) for column in required]
        placed = table.position("position") if "position" in table.columns else None
        for line, fields in table.rows:
            item_id, *numbers = (fields[column] for column in at)
            clicked = _CLICKED.get(numbers[1])
            if not item_id or clicked is None:
                raise MalformedLine(path, line, f"item_id is not empty and clicked is 0 or 1; got {shown(numbers[1])}")
            time = _number(path, line, "timestamp", numbers[0])
            position = 1.0 if placed is None else _number(path, line, "position", fields[placed])
            if not 1 <= position <= 2**31 - 1 or position != int(position):
                raise MalformedLine(path, line, f"a position is a whole number from 1; got {position:g}")
            scored = _number(path, line, score, numbers[2]) if score else 0.0
            rows.append((ads.setdefault(item_id, len(ads)), time, int(position), clicked, scored))
    if not rows:
        raise BadInput(f"{path} has no impressions")
    rows.sort(key=lambda row: row[1])
    ad, times, positions, clicks, scores = zip(*rows, strict=True)
    return Impressions(
        tuple(ads),
        np.array(ad, np.int32),
        np.array(times, np.float64),
        np.array(positions, np.int32),
        np.array(clicks, np.bool_),
        np.array(scores, np.float64) if score else None,
    )


def rates_so_far(impressions: Impressions, prior_clicks: float, prior_shows: float) -> Float64Array:
    """Of each impression the smoothed click rate that its ad had before it, shape (n,); within 0 and 1."""
    order = np.argsort(impressions.ad, kind="stable")
    starts = np.flatnonzero(np.diff(impressions.ad[order], prepend=-1))
    counts = np.diff(np.append(starts, len(order)))
    before = np.arange(len(order)) - np.repeat(starts, counts)
    clicked = impressions.clicked[order].astype(np.int64)
    ahead = np.cumsum(clicked) - clicked  # clicks before each, of the ads before its own as well
    clicks = ahead - np.repeat(ahead[starts], counts)
    result: Float64Array = np.empty(len(order))
    result[order] = (prior_clicks + clicks) / (prior_shows + before)
    return result


def _number(path: Path, line: int, column: str | None, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise MalformedLine(path, line, f"{column} is a finite number; got {shown(text)}")
    return number
