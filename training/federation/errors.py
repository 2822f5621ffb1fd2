"""The errors of federation, as one tree.

HearthError
└── FederationError
    ├── BadMessage            bytes that are no task, or no reply, of this version
    ├── Refused               a cell will not do what a task asks; it says why, and nothing of anybody
    │   └── TooFewPeople      ... as the sum would be over fewer people than the cell gives sums of
    ├── TrainerUnavailable    the process that computes for a cell does not answer
    ├── TooFewCells           fewer cells than the quorum are there, or have answered in time
    └── AnotherRun            another run over the same cells is under way
"""

from feature_store.errors import HearthError


class FederationError(HearthError):
    """Something between the server and the cells went wrong."""


class BadMessage(FederationError):
    """Bytes that are no task, or no reply, of this version."""


class Refused(FederationError):
    """A cell will not do what a task asks."""


class TooFewPeople(Refused):
    """The sum would be over fewer people than the cell gives sums of."""


class TrainerUnavailable(FederationError):
    """The process that computes for a cell does not answer."""


class TooFewCells(FederationError):
    """Fewer cells than the quorum are there, or have answered in time."""


class AnotherRun(FederationError):
    """Another run over the same cells is under way."""
