"""Three cells under masks in this process: the checkerboard's people spread over them, and what crosses the wire."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from tests.training.federation.local_cells import filled_memory
from training.federation.cell import TrainingCell
from training.federation.exchange import Answers
from training.federation.parcel import Parcel
from training.federation.secure_cell import Identity, SecureCell
from training.secure_aggregation.node_keys import NodePublicKey

THREE = {"cell-a": range(20), "cell-b": range(20, 41), "cell-c": range(41, 60)}
NODE_KEYS = {name: ec.generate_private_key(ec.SECP384R1()) for name in THREE}
PINNED: dict[str, NodePublicKey] = {name: key.public_key() for name, key in NODE_KEYS.items()}


class Secure(NamedTuple):
    """cells: what the server reaches. plain: the same people, whose sums are seen."""

    cells: dict[str, SecureCell]
    plain: dict[str, TrainingCell]


def secure_cells(folder: Path, least: int = 5, colluding: int = 0) -> Secure:
    """Each in a folder of its own."""
    cells, plain = {}, {}
    for name, people in THREE.items():
        (folder / name).mkdir(parents=True)
        plain[name] = TrainingCell(filled_memory(people), None, folder / name, least)
        identity = Identity(name, NODE_KEYS[name], PINNED, colluding)
        cells[name] = SecureCell(plain[name], identity, folder / name)
    return Secure(cells, plain)


def restarted(secure: Secure, folder: Path, name: str) -> SecureCell:
    """That cell as a new process has it, in its folder below that one."""
    return SecureCell(secure.plain[name], Identity(name, NODE_KEYS[name], PINNED), folder / name)


class Recorded(NamedTuple):
    """One parcel and its reply. about: what the server called it."""

    about: str
    cell: str
    message: bytes
    reply: bytes

    @property
    def answered(self) -> tuple[bytes, ...]:
        """The messages of rounds that the cell sent."""
        return Parcel.from_bytes(self.reply).messages


def each(lie: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A lie about each message of a parcel."""
    return lambda reply: Parcel(tuple(lie(message) for message in Parcel.from_bytes(reply).messages)).to_bytes()


class RecordingExchange:
    """Reaches cells in this process, and keeps who said what.

    forged: from what a cell would reply to what it replies.
    cut: cells that get no message, asked before each exchange.
    """

    def __init__(
        self,
        cells: Mapping[str, SecureCell],
        cut: Callable[[str], frozenset[str]] = lambda _: frozenset(),
        forged: Callable[[str, str, bytes], bytes] = lambda _about, _cell, reply: reply,
    ) -> None:
        self._cells, self._cut, self._forged = cells, cut, forged
        self.said: list[Recorded] = []

    def cells(self) -> tuple[str, ...]:
        return tuple(sorted(self._cells))

    def ask(self, messages: Mapping[str, bytes], about: str) -> Answers:
        cut, replies = self._cut(about), dict[str, bytes]()
        for cell, message in messages.items():
            if cell not in cut:
                replies[cell] = self._forged(about, cell, asyncio.run(self._cells[cell].answer(message)))
                self.said.append(Recorded(about, cell, message, replies[cell]))
        return Answers(replies, dict.fromkeys(cut & messages.keys(), "no answer in time"))
