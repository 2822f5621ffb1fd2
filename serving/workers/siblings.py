"""Siblings: the workers beside this one. A worker tells them what came to it, and asks what they know."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Literal, Protocol, TypeAlias

Entry: TypeAlias = list[str | float | None]
"""One thing that is told: a list as JSON has it."""

Told: TypeAlias = Literal["counts", "joined", "taken"]
"""What entries are about: see `serving.workers.sharing`."""

Asked: TypeAlias = Literal["samples", "receipt"]
"""What siblings are asked for."""


class Siblings(Protocol):
    """The workers beside this one.

    What is told reaches them soon, or is lost; nobody waits for it.
    """

    @property
    def number(self) -> int:
        """Of this worker, from 0 on."""
        ...

    @property
    def count(self) -> int:
        """Of all workers, this one too."""
        ...

    def joined(self) -> AbstractAsyncContextManager[None]:
        """Talk with them, until the end of the block."""
        ...

    def hear(self, told: Told, heard: Callable[[Entry], None]) -> None:
        """Have what others tell of that dealt with."""
        ...

    def answer(self, asked: Asked, answer: Callable[[str], bytes]) -> None:
        """Have others answered who ask for that, of something."""
        ...

    def tell(self, told: Told, entry: Entry) -> None:
        """Tell all others."""
        ...

    async def ask(self, asked: Asked, of: str = "") -> Mapping[int, bytes]:
        """What each of the others says, by its number; one that says nothing in time is missing."""
        ...


class NoSiblings:
    """A server that is one process."""

    number, count = 0, 1

    def joined(self) -> AbstractAsyncContextManager[None]:
        """Nobody to talk with."""
        return nullcontext()

    def hear(self, told: Told, heard: Callable[[Entry], None]) -> None:
        """Nothing is heard."""

    def answer(self, asked: Asked, answer: Callable[[str], bytes]) -> None:
        """Nobody asks."""

    def tell(self, told: Told, entry: Entry) -> None:
        """Nobody is told."""

    async def ask(self, asked: Asked, of: str = "") -> Mapping[int, bytes]:  # noqa: ARG002 - there is nobody to ask
        """Nobody answers."""
        return {}
