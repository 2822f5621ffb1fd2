"""A private training over three cells in this process: a checkerboard of 300 people, and noise as the test has it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from feature_store.events import Event
from feature_store.memory import open_memory
from feature_store.stores import LocalStores
from tests.training.federation.secure_cells import NODE_KEYS, PINNED
from tests.training.worlds import checkerboard
from training.federation.adding import Adding, plainly
from training.federation.cell import TrainingCell
from training.federation.exchange import Answers
from training.federation.federated_run import FederatedRun, loss_settings, prepare_federated
from training.federation.flower_transport import FlowerTransport, Traffic, take_up
from training.federation.private_cell import CellReleases
from training.federation.private_transport import PrivateTransport
from training.federation.secure_cell import Identity, SecureCell
from training.federation.tasks import ReplyMessage, SumsHeader
from training.federation.wire import reply_to_bytes, task_from_bytes
from training.item_features import ItemFeatures
from training.privacy.ledger import Budget, Ledger, MemoryLedger
from training.privacy.noise import Noise, repeatable_noise
from training.settings import TrainingSettings
from training.split import Split
from training.transport import Cohorts

SPLIT = checkerboard(people=300)
PARTS = {"cell-a": range(110), "cell-b": range(110, 200), "cell-c": range(200, 300)}
SETTINGS = TrainingSettings.model_validate({"dim": 4, "privacy": {"epsilon": 8.0, "delta": 1e-5}})
RUN_ID = "run-private"
SEEDS = {"cell-a": 11, "cell-b": 12, "cell-c": 13}
Answer = Callable[[bytes], bytes]


def filled(people: range, split: Split = SPLIT) -> LocalStores:
    """Stores in memory with what these people met, a second apart."""
    stores = open_memory()
    asyncio.run(
        stores.events.put(
            [
                Event(f"{person}-{place}", split.user_ids[person], split.vocabulary.item_ids[row], "click", 1e9 + place)
                for person in people
                for place, row in enumerate(split.train[person])
            ]
        )
    )
    return stores


@dataclass(frozen=True, slots=True)
class Cells:
    """cells: what holds the people. releases: of each, with its ledger."""

    cells: dict[str, TrainingCell]
    releases: dict[str, CellReleases]


def private_cells(
    folder: Path,
    noises: Mapping[str, Noise] | None = None,
    budget: Budget | None = None,
    split: Split = SPLIT,
    parts: Mapping[str, range] = PARTS,
) -> Cells:
    """Three cells; their noise follows from `SEEDS`, where none is given."""
    cells, releases = {}, {}
    for name, people in parts.items():
        noise = noises[name] if noises else repeatable_noise(SEEDS[name])
        releases[name] = CellReleases(folder / name, budget, noise)
        (folder / name).mkdir(parents=True, exist_ok=True)
        cells[name] = TrainingCell(filled(people, split), None, folder / name, 20, releases[name])
    return Cells(cells, releases)


def under_masks(cells: Cells, folder: Path) -> dict[str, Answer]:
    """What these cells answer where they add up under masks."""
    secure = {
        name: SecureCell(cell, Identity(name, NODE_KEYS[name], PINNED), folder / name)
        for name, cell in cells.cells.items()
    }
    return {name: _running(cell.answer) for name, cell in secure.items()}


def in_the_clear(cells: Cells, together: int | None = None) -> dict[str, Answer]:
    """What these cells answer where each one's sums are seen.

    together: they are told that sums of so many cells come to be known as one, and believe it.
    """
    if together is None:
        return {name: _running(cell.answer) for name, cell in cells.cells.items()}

    def told(cell: TrainingCell) -> Answer:
        def answer(content: bytes) -> bytes:
            task = task_from_bytes(content)
            sums = asyncio.run(cell.sums(task, together))
            return reply_to_bytes(ReplyMessage(SumsHeader(of=task.header.kind, numbers=sums.numbers), sums.arrays))

        return answer

    return {name: told(cell) for name, cell in cells.cells.items()}


def _running(answer: Callable[[bytes], object]) -> Answer:
    return lambda content: asyncio.run(answer(content))  # type: ignore[arg-type]  # a coroutine of a cell's


class PrivateExchange:
    """Reaches cells in this process.

    cut: cells that do not answer, asked before each exchange.
    """

    def __init__(
        self, answers: Mapping[str, Answer], cut: Callable[[str], frozenset[str]] = lambda _: frozenset()
    ) -> None:
        self._answers, self._cut = answers, cut
        self.said: list[tuple[str, str, bytes, bytes]] = []

    def cells(self) -> tuple[str, ...]:
        return tuple(sorted(self._answers))

    def ask(self, messages: Mapping[str, bytes], about: str) -> Answers:
        cut, replies = self._cut(about), dict[str, bytes]()
        for cell, message in messages.items():
            if cell not in cut:
                replies[cell] = self._answers[cell](message)
                self.said.append((about, cell, message, replies[cell]))
        return Answers(replies, dict.fromkeys(cut & messages.keys(), "no answer in time"))


def transport_to(
    exchange: PrivateExchange,
    noise_cells: int,
    adding: Adding = plainly,
    ledger: Ledger | None = None,
    settings: TrainingSettings = SETTINGS,
    split: Split = SPLIT,
    run_id: str = RUN_ID,
) -> PrivateTransport:
    """The transport of a private run that those cells have taken up."""
    traffic, quorum = Traffic(), 2
    taken_up = take_up(exchange, run_id, split.vocabulary, 0.0, quorum, traffic, adding=adding, private=True)
    cohorts = Cohorts(settings.cohort, taken_up.clients, settings.seed)
    loss = loss_settings(settings, len(split.vocabulary))
    plain = FlowerTransport(exchange, run_id, taken_up, cohorts, loss, quorum, traffic, adding=adding)
    assert settings.privacy is not None
    return PrivateTransport(plain, settings.privacy, ledger or MemoryLedger(), noise_cells)


def run_over(private: PrivateTransport, settings: TrainingSettings = SETTINGS, split: Split = SPLIT) -> FederatedRun:
    """The run of that transport."""
    features = ItemFeatures(len(split.vocabulary))
    return prepare_federated(split.vocabulary, features, settings, private.transport, private=private)
