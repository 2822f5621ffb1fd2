"""What serving refuses or cannot do, as a branch of the tree in `feature_store.errors`.

    HearthError
    ├── BadInput
    │   └── RequestRefused        the request breaks a rule; each fault names the place in the body
    ├── CheckpointMismatch
    │   ├── OtherCheckpoint       the vector in the request was folded in on another checkpoint than the live one
    │   └── ModelNotLoaded        the request asks for a checkpoint that is in neither stage, or failed on trial
    ├── UnknownPlacement          there is no placement of that name
    ├── NoBundle                  there is no item bundle of that checkpoint here
    ├── NoCatalogue               items are asked for, or sent, and no catalogue is configured
    ├── StillInProduction         the checkpoint that answers would be put on trial, and nothing would answer
    ├── UnknownErasure            no such receipt was given here, or long ago
    ├── UnknownCatalogueItem      the catalogue has no item of that id
    ├── ModelTooLarge             a checkpoint would take more memory than a model may
    ├── WorkersEnded              a process of the server cannot begin, or has ended again and again
    └── NoModel                   nothing has been promoted that could be loaded yet

None of them knows HTTP; `serving.error_problems` says what each becomes there.
"""

from collections.abc import Iterable
from typing import NamedTuple

from feature_store.errors import BadInput, CheckpointMismatch, HearthError


class Fault(NamedTuple):
    """One thing wrong with a request.

    pointer: where in the body, a JSON Pointer (RFC 6901) as a URI fragment, such as `#/events/0/user_id`.
    detail: what would be right; never what was sent.
    """

    pointer: str
    detail: str


class RequestRefused(BadInput):
    """The request breaks a rule."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in self.faults))


class OtherCheckpoint(CheckpointMismatch):
    """The vector in the request was folded in on another checkpoint than the live one."""

    def __init__(self, given: str, live: str) -> None:
        self.given, self.live = given, live
        super().__init__(f"the vector belongs to checkpoint {given}; checkpoint {live} answers now")


class ModelNotLoaded(CheckpointMismatch):
    """The request asks for a checkpoint that is in neither stage, or is on trial and failed."""


class StillInProduction(HearthError):
    """The checkpoint that answers would be put on trial, and nothing would answer."""


class UnknownErasure(HearthError):
    """No such receipt was given here, or long ago."""


class UnknownPlacement(HearthError):
    """There is no placement of that name."""


class NoModel(HearthError):
    """Nothing has been promoted that could be loaded yet."""


class WorkersEnded(HearthError):
    """A process of the server cannot begin, has ended again and again, or did not end when it was told to."""


class ModelTooLarge(HearthError):
    """A checkpoint would take more memory, while it is loaded, than a model may."""

    def __init__(self, checkpoint_id: str, expected: int, most: int) -> None:
        self.expected, self.most = expected, most
        super().__init__(f"loading {checkpoint_id} takes about {expected:,} bytes; max_model_bytes allows {most:,}")


class NoCatalogue(HearthError):
    """Items are asked for, or sent, and no catalogue is configured."""


class UnknownCatalogueItem(HearthError):
    """The catalogue has no item of that id."""


class NoBundle(HearthError):
    """There is no item bundle of that checkpoint here."""
