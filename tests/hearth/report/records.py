"""Records of made-up runs, and a reader of the page that a browser would show."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np

from feature_store.manifest import CheckpointManifest
from feature_store.vocabulary import ItemVocabulary
from hearth.report.record import RunRecord
from training.histories import Histories
from training.quality_groups import quality_by_group
from training.run_log import RoundRecord
from training.split import Split
from training.split_statistics import split_statistics

CREATED = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
_VOID = {"meta", "br", "path", "use", "rect"}


def rounds(ndcg: Sequence[float | None], cohort: int = 20) -> tuple[RoundRecord, ...]:
    """A record for each NDCG; the loss falls, seconds grow."""
    return tuple(
        RoundRecord(
            round_number=number,
            finished=datetime(2026, 2, 3, 4, 0, number, tzinfo=UTC),
            cohort=cohort,
            loss=8.0 / number,
            ndcg=value,
            recall=None if value is None else value / 2,
            seconds=0.25 * number,
            uplink_bytes_per_client=4_000,
        )
        for number, value in enumerate(ndcg, 1)
    )


def a_run(checkpoint_id: str = "r0002-bbbb", **changes: Any) -> RunRecord:
    """A run of three rounds that published the second, with the groups of a scorer that ranks items by number."""
    train = Histories.of([list(range(length)) for length in range(1, 9)])
    held_out = Histories.of([[9]] * 4 + [[29]] * 4)
    nobody = Histories.of([[]] * 8)
    people = tuple(f"p{number}" for number in range(8))
    split = Split(ItemVocabulary(f"i{row}" for row in range(40)), people, train, held_out, nobody)
    scores = np.tile(np.arange(40, 0, -1), (8, 1)).astype(np.float32)
    fields: dict[str, Any] = {
        "checkpoint_id": checkpoint_id,
        "parent_id": None,
        "created": CREATED,
        "catalogues": {"films": 40},
        "round_number": 2,
        "rounds_done": 3,
        "converged": False,
        "rounds": rounds([0.125, 0.375, 0.25]),
        "metrics": {"recall@20": 0.1875, "ndcg@20": 0.375, "hr@10": 0.5, "coverage@20": 0.75, "users": 8},
        "groups": quality_by_group(lambda clients: scores[clients], train, 40, held_out, [train]),
        "statistics": split_statistics(split),
        "facts": {"dim": 8, "alpha": 1.0, "data": "0123456789ab", "rounds": 3, "seed": 7},
        "training_settings": {"dim": 8, "seed": 7},
        "machine": {"processor": "Abacus"},
    }
    return RunRecord(**fields | changes)


class Page(HTMLParser):
    """What stands in a page: `text` of all that is shown, `tables` by caption, and each element with attributes."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.pieces: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._caption = ""
        self.feed(content.decode())
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        """What is read."""
        return " ".join(piece for inside, piece in self.pieces if inside not in {"style", "title", "desc"})

    def texts(self, name: str) -> list[str]:
        """What stands right inside each element of that name."""
        return [piece for inside, piece in self.pieces if inside == name]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "tr" and self._caption:
            self.tables[self._caption].append([])
        if tag in {"td", "th"}:
            self.tables[self._caption][-1].append("")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not data.strip():
            return
        inside = self._open[-1] if self._open else ""
        self.pieces.append((inside, data))
        if inside == "caption":
            self._caption = data
            self.tables[data] = []
        if inside in {"td", "th"}:
            self.tables[self._caption][-1][-1] += data


def manifest_of(record: RunRecord, **changes: Any) -> CheckpointManifest:
    """The manifest of the checkpoint of a run."""
    fields: dict[str, Any] = {
        "checkpoint_id": record.checkpoint_id,
        "created": record.created,
        "round_number": record.round_number,
        "dim": 8,
        "catalogues": {"films": [[0, 40]]},
        "fold_in": {"alpha": 1.0, "regularization": 0.01},
        "blend": {"weight": 0.0, "people": 8},
        "metrics": record.metrics,
        "training": {name: value for name, value in record.facts.items() if name != "rounds"},
        "files": {},
    }
    return CheckpointManifest.model_validate(fields | changes)
