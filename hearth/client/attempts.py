"""Attempts: when a call is sent again, after how long, and when that ends. It sends nothing itself and does not wait.

A server that says "later" (429, 503) is asked again after the time that it names, never before; where that is longer
than anybody would wait here, at once what it said is raised. A connection that breaks, and a gateway that has lost its
server (502, 504), are tried again after random waits that may be twice as long each time ("full jitter": Brooker,
Exponential Backoff and Jitter, AWS Architecture Blog, 2015), but for a call that must not be done twice.
"""

import math
import random
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeAlias, TypeVar

import httpx
from pydantic import ValidationError

from feature_store.errors import HearthError
from hearth.client.errors import Problem, Unreachable, place_of
from serving.schemas import ProblemBody

RETRIES = 3
LONGEST_WAIT = 5.0  # seconds between two attempts
_LATER = frozenset({429, 503})
_LOST = frozenset({502, 504})
_NOT_BEGUN = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)  # nothing was sent


class Call(NamedTuple):
    """One request.

    may_repeat: whether it does no harm to do it twice, where nobody knows whether it was done.
    answers: statuses that are an answer to this call and no reason to ask again.
    """

    method: str
    path: str
    content: str | None = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    may_repeat: bool = True
    answers: frozenset[int] = frozenset()


class Wait(NamedTuple):
    """A pause before the next attempt."""

    seconds: float


Given = TypeVar("Given")
Exchange: TypeAlias = Generator[Call, httpx.Response, Given]
"""Calls, and what is made of the answer to each; it returns what the caller gets."""

Outcome: TypeAlias = httpx.Response | httpx.RequestError | None
Steps: TypeAlias = Generator[Call | Wait, Outcome, Given]
"""What a client has to do, one after the other: it sends back what came of a call, and None after a pause."""


def patiently(exchange: Exchange[Given], retries: int) -> Steps[Given]:
    """The exchange, each of its calls sent up to `retries` times more.

    Raises:
        Problem, Unreachable: what the last attempt came to.
    """
    try:
        call = next(exchange)
        while True:
            response = yield from _attempts(call, retries)
            call = exchange.send(response)
    except StopIteration as ended:
        given: Given = ended.value
        return given


def problem_in(response: httpx.Response) -> HearthError:
    """What an error over HTTP is raised as."""
    try:
        body = ProblemBody.model_validate_json(response.content)
    except ValidationError:
        place, status = place_of(response.url), response.status_code
        return Unreachable(f"{place} answered {status}, and not as Hearth does; is something in between?")
    return Problem(response.status_code, body, named_wait(response))


def named_wait(response: httpx.Response) -> float | None:
    """Seconds that a reply wants to be waited for (RFC 9110, section 10.2.3); None where it does not say."""
    named = response.headers.get("retry-after", "")
    if named.isascii() and named.isdigit():
        return float(named[:9])
    try:
        at = parsedate_to_datetime(named)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _attempts(call: Call, retries: int) -> Steps[httpx.Response]:
    attempt = 0
    while True:
        outcome = yield call
        if isinstance(outcome, httpx.Response):
            status = outcome.status_code
            if status in call.answers or status not in _LATER | _LOST:
                return outcome
            failure, may_repeat = problem_in(outcome), status in _LATER or call.may_repeat
            named = named_wait(outcome)
        else:
            failure, may_repeat = _unreachable(outcome), call.may_repeat or isinstance(outcome, _NOT_BEGUN)
            named = None
        if not may_repeat or attempt >= retries or (named or 0.0) > LONGEST_WAIT:
            raise failure
        # A little more than was named, so that not all come back at once.
        yield Wait(_backoff(attempt) if named is None else named + random.uniform(0, 0.1))  # noqa: S311 - not a secret
        attempt += 1


def _backoff(attempt: int) -> float:
    return random.uniform(0, min(math.ldexp(0.1, min(attempt, 99)), LONGEST_WAIT))  # noqa: S311 - not a secret


def _unreachable(error: httpx.RequestError | None) -> Unreachable:
    place = "the server" if error is None else place_of(error.request.url)
    return Unreachable(f"{place} did not answer: {type(error).__name__}")
