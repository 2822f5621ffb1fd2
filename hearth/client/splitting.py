"""Splitting: what is more than a server takes at once is sent in several parts, and answered as if it had been one."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import httpx
from pydantic import ValidationError

from hearth.client.attempts import Call, Exchange
from hearth.client.errors import Unreachable, place_of
from serving.schemas import BatchOutcome, EventOutcome, ImportOutcome, ProblemBody

Outcomes = TypeVar("Outcomes", EventOutcome, BatchOutcome, ImportOutcome)
Entry = TypeVar("Entry")


def in_parts(
    entries: Sequence[Entry],
    most: int,
    name: str,
    call: Callable[[Sequence[Entry]], Call],
    outcomes: Callable[[httpx.Response], Sequence[Outcomes]],
) -> Exchange[list[Outcomes]]:
    """The outcome of each entry, numbered as they were given.

    All are looked at before the first part is sent. Where a server takes less (its limits are its own), the part is
    halved, and those after it are no larger. Where a later part fails, the earlier ones are done: entries have ids, so
    that all of them may be sent again.

    most: entries in one part.
    name: of their list in the body.
    """
    for start in range(0, max(1, len(entries)), most):
        call(entries[start : start + most])
    found: list[Outcomes] = []
    while len(found) < len(entries):
        part = entries[len(found) : len(found) + most]
        response = yield call(part)
        if len(part) > 1 and _is_too_much(response, name):
            most = (len(part) + 1) // 2
            continue
        theirs = outcomes(response)
        if len(theirs) != len(part):
            raise Unreachable(f"{place_of(response.url)} answered {len(theirs)} outcomes to {len(part)} of {name}")
        found += [_renumbered(outcome, name, len(found)) for outcome in theirs]
    return found


def _is_too_much(response: httpx.Response, name: str) -> bool:
    """Whether all of it was refused for its size: the body, or the list as such."""
    if response.status_code == 413:
        return True
    try:
        problem = ProblemBody.model_validate_json(response.content) if response.status_code == 422 else None
    except ValidationError:  # who answers so is told of where the reply is read
        return False
    return problem is not None and [fault.pointer for fault in problem.errors or ()] == [f"#/{name}"]


def _renumbered(outcome: Outcomes, name: str, before: int) -> Outcomes:
    """The outcome of an entry, where so many came before its part."""
    problem = outcome.problem
    if problem is not None and problem.errors:
        own = re.compile(rf"(?<=^#/{name}/){outcome.index}(?=/|$)")
        errors = [
            fault.model_copy(update={"pointer": own.sub(str(outcome.index + before), fault.pointer)})
            for fault in problem.errors
        ]
        problem = problem.model_copy(update={"errors": errors})
    return outcome.model_copy(update={"index": outcome.index + before, "problem": problem})
