"""What a client raises, as a branch of the tree in `feature_store.errors`.

HearthError
├── BadInput        it cannot be asked; nothing was sent
├── Problem         the server says what was wrong
└── Unreachable     no server answered, or not as Hearth does
"""

import httpx

from feature_store.errors import HearthError
from serving.schemas import ProblemBody


class Problem(HearthError):
    """The server refused, or could not do what was asked (RFC 9457).

    status: of the reply.
    body: type, title, detail and, of a body that breaks rules, the errors in it.
    retry_after: seconds after which the server wants to be asked again; None where it does not say.
    """

    def __init__(self, status: int, body: ProblemBody, retry_after: float | None = None) -> None:
        self.status, self.body, self.retry_after = status, body, retry_after
        faults = "".join(f"; {fault.pointer}: {fault.detail}" for fault in body.errors or ())
        super().__init__(f"{status} {body.type}: {body.detail}{faults}")


class Unreachable(HearthError):
    """No server answered at the address, or what answered does not speak as Hearth does."""


def place_of(address: httpx.URL) -> str:
    """Who was asked, for a message: without what was asked for, and without a password."""
    return f"{address.scheme}://{address.netloc.decode()}"
