"""Cells in this process: the checkerboard's people spread over them, and an exchange that reaches them directly."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from feature_store.events import Event
from feature_store.memory import open_memory
from feature_store.registry import Registry
from feature_store.stores import LocalStores
from tests.training.worlds import checkerboard
from training.federation.cell import TrainingCell
from training.federation.exchange import Answers
from training.federation.tasks import LossSettings

SPLIT = checkerboard()
HELD_OUT = 2 / 14  # of a person's twelve train and two validation items
RUN_ID = "run-1"
LOSS = LossSettings(alpha=0.2, regularization=0.01, activity_exponent=0.3)
PARTS = {"cell-a": range(31), "cell-b": range(31, 60)}


def events_of(people: Sequence[int]) -> list[Event]:
    """What these people of the checkerboard did: the train items, then the validation items, a second apart."""
    return [
        Event(f"event-{person}-{place}", SPLIT.user_ids[person], SPLIT.vocabulary.item_ids[row], "click", 1e9 + place)
        for person in people
        for place, row in enumerate([*SPLIT.train[person], *SPLIT.valid[person]])
    ]


def in_order(people: Sequence[int]) -> list[int]:
    """These people in the order in which a cell has them: that of their ids."""
    return sorted(people, key=lambda person: SPLIT.user_ids[person])


def filled_memory(people: Sequence[int]) -> LocalStores:
    """Stores in memory with what these people did."""
    stores = open_memory()
    asyncio.run(stores.events.put(events_of(people)))
    return stores


def local_cells(folder: Path, least: int = 5, registry: Registry | None = None) -> dict[str, TrainingCell]:
    """Two cells in memory with everybody of the checkerboard."""
    cells = {}
    for name, people in PARTS.items():
        (folder / name).mkdir(parents=True)
        cells[name] = TrainingCell(filled_memory(people), registry, folder / name, least)
    return cells


class LocalExchange:
    """Reaches cells in this process, and keeps every byte that went either way.

    cut: cells that do not answer, asked before each exchange.
    """

    def __init__(
        self, cells: Mapping[str, TrainingCell], cut: Callable[[str], frozenset[str]] = lambda _: frozenset()
    ) -> None:
        self._cells, self._cut = cells, cut
        self.seen: list[bytes] = []

    def cells(self) -> tuple[str, ...]:
        return tuple(sorted(self._cells))

    def ask(self, messages: Mapping[str, bytes], about: str) -> Answers:
        cut = self._cut(about)
        replies = {cell: asyncio.run(self._cells[cell].answer(messages[cell])) for cell in messages if cell not in cut}
        self.seen += [*messages.values(), *replies.values()]
        return Answers(replies, dict.fromkeys(cut & messages.keys(), "no answer in time"))
