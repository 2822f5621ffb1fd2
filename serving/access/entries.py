"""Entries: a batch is as many requests as it has entries, for what keeps load off and for what counts a key's requests.

Both see the head of a request, and only its route knows how many entries it has. So each leaves in the request's state
what counts them, and the route asks (`too_many_entries`) before it answers the first.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.types import Scope

from serving.problems import Problem

_COUNTS: Final = "hearth_entries"  # in a request's state
Count: TypeAlias = Callable[[int], Problem | None]
"""Counts so many further requests; or counts nothing, and says why there is no room for them."""


def count_entries(scope: Scope, count: Count) -> None:
    """Have that count the entries of the request, should it be a batch. It has counted the request as one by itself."""
    scope.setdefault("state", {}).setdefault(_COUNTS, []).append(count)


def too_many_entries(request: Request, entries: int) -> Problem | None:
    """Count the entries of a batch; what refuses it as a whole, or None. Load comes first: what it refuses is free."""
    counts: list[Count] = request.scope.get("state", {}).get(_COUNTS, [])
    for count in reversed(counts):
        if (problem := count(entries - 1)) is not None:
            return problem
    return None
