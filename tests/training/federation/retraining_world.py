"""A world to retrain in: two cells in memory, a registry, and what a retraining of them is asked for."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from feature_store.events import Event
from feature_store.registry import Registry
from feature_store.signing import SigningKey, TrustedKeys
from tests.training.federation.cells_grid import CellsGrid
from tests.training.federation.local_cells import PARTS, SPLIT, filled_memory
from training.federation.cell import TrainingCell
from training.federation.centre import Request, RetrainingRules, RunOutcome
from training.federation.server_app import train
from training.gate import GateSettings
from training.settings import TrainingSettings

RULES = RetrainingRules(gate=GateSettings(least_people=20, tolerance=0.5, least_coverage=0.2))


class World(NamedTuple):
    """Two cells in memory and what a retraining of them is asked for."""

    cells: dict[str, TrainingCell]
    request: Request
    registry: Registry

    def retrained(
        self, silent: Callable[[bytes], bool] = lambda _: False, told: list[RunOutcome] | None = None, **changes: Any
    ) -> RunOutcome:
        keep = (lambda _: None) if told is None else told.append
        return train(self.grid(silent), self.request.model_copy(update=changes), told=keep)

    def grid(self, silent: Callable[[bytes], bool] = lambda _: False) -> CellsGrid:
        """What reaches the cells. silent: see there."""
        return CellsGrid({name: _answers(cell) for name, cell in self.cells.items()}, silent)

    def happens(self, place: int) -> None:
        """Everybody meets one more item, now."""
        for name, people in PARTS.items():
            events = [
                Event(f"new-{place}", SPLIT.user_ids[who], f"item-{SPLIT.test[who][place]}", "click", time.time())
                for who in people
            ]
            assert all(asyncio.run(self.cells[name]._stores.events.put(events)))


def _answers(cell: TrainingCell) -> Callable[[bytes], bytes]:
    return lambda content: asyncio.run(cell.answer(content))


def retraining_world(folder: Path) -> World:
    """It, in that folder; made again, it is the same registry with cells as they were at first."""
    key = SigningKey.load_or_create(folder / "key.pem")
    registry = Registry(folder / "registry", TrustedKeys([key.public]))
    cells = {}
    for name, people in PARTS.items():
        (folder / name).mkdir(exist_ok=True)
        cells[name] = TrainingCell(filled_memory(people), registry, folder / name, 5)
    catalogue = folder / "items.csv"
    catalogue.write_text("item_id,title\n" + "".join(f"{item},\n" for item in SPLIT.vocabulary.item_ids))
    request = Request(
        registry=str(folder / "registry"),
        signing_key=folder / "key.pem",
        settings=TrainingSettings.model_validate({"dim": 8, "alpha": 0.2, "cohort": 40, "rounds": 3}),
        catalogue=catalogue,
        cells=2,
        quorum=2,
        gather_seconds=0.0,
        deadline_seconds=0.3,
        retraining=RULES,
    )
    return World(cells, request, registry)
