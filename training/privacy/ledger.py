"""The ledger: what has been released about a population so far, and whether more may be.

What is spent on people stays spent: each training that they take part in adds to it. So the ledger outlives a run,
only grows, and is written, to the disk and whole, BEFORE the noise of a release is drawn. A process that dies between
the two has paid for what nobody saw; one that released without paying there cannot be.
"""

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
    at: when it was about to be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    released: str
    cost: float = Field(gt=0)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Ledger(Protocol):
    """Keeps entries."""

    def entries(self) -> Sequence[Entry]:
        """All so far, oldest first."""
        ...

    def spend(self, entry: Entry, budget: Budget) -> None:
        """Add an entry for good; raises `BudgetSpent`, and adds nothing, where it is too much."""
        ...


class MemoryLedger:
    """A ledger that ends with its process: for measurements on data that nobody needs to be protected in."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def entries(self) -> Sequence[Entry]:
        """See `Ledger`."""
        return tuple(self._entries)

    def spend(self, entry: Entry, budget: Budget) -> None:
        """See `Ledger`."""
        require_affordable(self._entries, entry, budget)
        self._entries.append(entry)


class FileLedger:
    """A ledger in a file, one JSON object a line; processes take turns.

    path: need not be there yet; its folder is made. A line that is no entry makes all of it unusable: whatever has
    become of the file, to count less than was spent would be the one error that cannot be undone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Sequence[Entry]:
        """See `Ledger`; raises `BadInput` for a file that is no ledger."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        entries = []
        for number, line in enumerate(lines, start=1):
            try:
                entries.append(Entry.model_validate_json(line))
            except ValidationError as error:
                raise BadInput(f"{self.path}, line {number}, is no entry of a privacy ledger: {error}") from error
        return tuple(entries)

    def spend(self, entry: Entry, budget: Budget) -> None:
        """See `Ledger`; raises `BadInput` for a file that is no ledger."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.path.with_name(f"{self.path.name}.lock")):
            remove_drafts(self.path)
            entries = self.entries()
            require_affordable(entries, entry, budget)
            replace(self.path, b"".join(f"{each.model_dump_json()}\n".encode() for each in (*entries, entry)))


def cost_so_far(entries: Sequence[Entry]) -> float:
    """What they cost in all."""
    return sum(entry.cost for entry in entries)


def require_affordable(entries: Sequence[Entry], entry: Entry, budget: Budget) -> None:
    """Raise `BudgetSpent` where the entry beside those before would pass the budget."""
    before, delta = cost_so_far(entries), budget.delta
    # A budget that is spent to the last digit is not passed: costs that are shares of it add up but for rounding.
    if delta_of((before + entry.cost) * (1 - 1e-9), budget.epsilon) > delta:
        raise BudgetSpent(
            f"{entry.released} would bring what was released about these people from "
            f"ε = {epsilon_of(before, delta):.4g} to {epsilon_of(before + entry.cost, delta):.4g} "
            f"at δ = {delta:g}, and the budget is {budget.epsilon:g}: "
            f"train with a smaller epsilon, or grant a larger budget"
        )
