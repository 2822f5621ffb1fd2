"""The ledger: what has been released about a population so far, and whether more may be.

What is spent on people stays spent: each training that they take part in adds to it. So the ledger outlives a run,
only grows, and is written, to the disk and whole, BEFORE the noise of a release is drawn. A process that dies between
the two has paid for what nobody saw; one that released without paying there cannot be.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.durable import exclusive, remove_drafts, replace
from feature_store.errors import BadInput, HearthError
from training.privacy.accountant import delta_of, epsilon_of


class BudgetSpent(HearthError):
    """A release would cost more privacy than there is left."""


class Budget(BaseModel):
    """The (ε, δ) that all releases about a population together may not pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epsilon: float = Field(gt=0, le=100)
    delta: float = Field(gt=0, lt=1)


class Entry(BaseModel):
    """One release.

    released: what, such as counts. cost: μ², one over the variance of the noise for a person who adds at most 1.
    at: when it was about to be. run: in which run between cells, where it was one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    released: str
    cost: float = Field(gt=0)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    run: str | None = None


class Ledger(Protocol):
    """Keeps entries."""

    def entries(self) -> Sequence[Entry]:
        """All so far, oldest first."""
        ...

    def spend(self, entry: Entry, budget: Budget | None) -> None:
        """Add an entry for good; raises `BudgetSpent`, and adds nothing, where it is too much.

        budget: None keeps the account and grants everything.
        """
        ...


class MemoryLedger:
    """A ledger that ends with its process: for measurements on data that nobody needs to be protected in."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def entries(self) -> Sequence[Entry]:
        """See `Ledger`."""
        return tuple(self._entries)

    def spend(self, entry: Entry, budget: Budget | None) -> None:
        """See `Ledger`."""
        require_affordable(self._entries, entry, budget)
        self._entries.append(entry)


class FileLedger:
    """A ledger in a file, one JSON object a line; processes take turns.

    path: need not be there yet; its folder is made. A file that is damaged, cut at whatever place, or gone makes all of
    it unusable: whatever has become of it, to count less than was spent would be the one error that cannot be undone.

    Beside it, in PATH.head, is how many lines it had and the digest of those, written after the ledger itself: a ledger
    begins with what its head has seen. It may have a line more, of a process that died between the two. One without a
    head is of before there were any, and gets one with its next entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._head = path.with_name(f"{path.name}.head")

    def entries(self) -> Sequence[Entry]:
        """See `Ledger`; raises `BadInput` for a file that is no ledger, or lacks entries."""
        head = self._seen()  # first: the ledger only grows
        lines = self._lines()
        if lines is None and head is not None:
            raise BadInput(f"{self.path} is gone, and {self._head} says that it had {head.entries} entries")
        if lines is None:
            return ()
        if not lines or not lines[-1].endswith(b"\n"):
            raise BadInput(f"{self.path} is cut off: a privacy ledger has an entry at the least, each a whole line")
        entries = []
        for number, line in enumerate(lines, start=1):
            try:
                entries.append(Entry.model_validate_json(line))
            except ValidationError as error:
                raise BadInput(f"{self.path}, line {number}, is no entry of a privacy ledger: {error}") from error
        if head is not None and _digest(lines[: head.entries]) != head.sha256:
            raise BadInput(
                f"{self.path} has {len(lines)} entries and does not begin with the {head.entries} that {self._head} "
                f"has seen: bring back the newest copy of both"
            )
        return tuple(entries)

    def spend(self, entry: Entry, budget: Budget | None) -> None:
        """See `Ledger`; raises `BadInput` for a file that is no ledger, or lacks entries."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.path.with_name(f"{self.path.name}.lock")):
            remove_drafts(self.path)
            entries = self.entries()
            require_affordable(entries, entry, budget)
            lines = [*(self._lines() or ()), f"{entry.model_dump_json()}\n".encode()]
            replace(self.path, b"".join(lines))
            replace(self._head, _Head(entries=len(lines), sha256=_digest(lines)).model_dump_json().encode())

    def _lines(self) -> list[bytes] | None:
        try:
            return self.path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return None

    def _seen(self) -> "_Head | None":
        try:
            return _Head.model_validate_json(self._head.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise BadInput(f"{self._head} is no head of a privacy ledger: {error}") from error


class _Head(BaseModel):
    """What a ledger has had: so many lines, and the SHA-256 of them, in hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: int = Field(ge=1)
    sha256: str


def _digest(lines: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(lines)).hexdigest()


def cost_so_far(entries: Sequence[Entry]) -> float:
    """What they cost in all."""
    return sum(entry.cost for entry in entries)


def is_entered(entries: Sequence[Entry], run: str, released: str) -> bool:
    """Whether that release of that run is among them."""
    return any((entry.run, entry.released) == (run, released) for entry in entries)


def require_affordable(entries: Sequence[Entry], entry: Entry, budget: Budget | None) -> None:
    """Raise `BudgetSpent` where the entry beside those before would pass the budget; None is no limit."""
    if budget is None:
        return
    before, delta = cost_so_far(entries), budget.delta
    # A budget that is spent to the last digit is not passed: costs that are shares of it add up but for rounding.
    if delta_of((before + entry.cost) * (1 - 1e-9), budget.epsilon) > delta:
        raise BudgetSpent(
            f"{entry.released} would bring what was released about these people from "
            f"ε = {epsilon_of(before, delta):.4g} to {epsilon_of(before + entry.cost, delta):.4g} "
            f"at δ = {delta:g}, and the budget is {budget.epsilon:g}: "
            f"train with a smaller epsilon, or grant a larger budget"
        )
