"""An exchange: a message to each of several cells, and what they answer within a deadline.

The server's side of everything that goes to cells: a round is one exchange, a secure aggregation is five. Where cells
are is the affair of who implements it: `training.federation.grid_exchange` goes to them over Flower.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Answers(NamedTuple):
    """What cells answered; each that was asked stands in one of the two.

    replies: bytes as they came, by cell.
    failures: why there are none, in words, by cell: an error, or nothing within the deadline.
    """

    replies: Mapping[str, bytes]
    failures: Mapping[str, str]


class Exchange(Protocol):
    """Reaches cells by name."""

    def cells(self) -> tuple[str, ...]:
        """The names of those that are there now, ascending."""
        ...

    def ask(self, messages: Mapping[str, bytes], about: str) -> Answers:
        """Send each of these cells its message, and wait for their answers until the deadline.

        about: what it is, such as "round 3", for logs.
        """
        ...
