"""A client of the serving API, typed, blocking or not.

    with Client("http://127.0.0.1:8080") as hearth:
        reply = hearth.recommend("home", user_id="anna", k=5)
        hearth.send([{"event_id": "1", "user_id": "anna", "item_id": reply.items[0].item_id, "event": "view"}])

A server that says "later" (429, 503) and a connection that breaks are tried again, `retries` times, after the time that
the server names, or after random waits that may be twice as long each time: asking changes nothing, and an event is
known by its id, so that sending it again does not either.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypedDict, TypeVar, Unpack

import httpx
from pydantic import BaseModel, ValidationError

from feature_store.errors import BadInput, HearthError
from feature_store.faults import faults_of
from serving.schemas import EventsBody, EventsReply, ProblemBody, RecommendBody, RecommendReply, Version

RETRIES = 3
_LONGEST_WAIT = 5.0  # seconds between two attempts, whatever the server names
_LATER = {429, 503}

Reply = TypeVar("Reply", bound=BaseModel)


class Problem(HearthError):
    """The server refused, or could not do what was asked (RFC 9457).

    status: of the reply.
    body: type, title, detail and, of a body that breaks rules, the errors in it.
    """

    def __init__(self, status: int, body: ProblemBody) -> None:
        self.status, self.body = status, body
        faults = "".join(f"; {fault.pointer}: {fault.detail}" for fault in body.errors or ())
        super().__init__(f"{status} {body.type}: {body.detail}{faults}")


class Unreachable(HearthError):
    """No server answered at the address, or what answered does not speak as Hearth does."""


class Asked(TypedDict, total=False):
    """Who asks, and for what: the fields of a request, as docs/http-api.md has them."""

    k: int
    user_id: str
    session_events: Sequence[Mapping[str, str]]
    query_vector: Sequence[float]
    checkpoint_id: str
    exclude_item_ids: Sequence[str]
    filters: Mapping[str, Any]
    like_item_id: str
    diversity: float
    context: Mapping[str, Any]


class _Call(NamedTuple):
    method: str
    path: str
    content: str | None = None


class Client:
    """A blocking client. Close it, or use it in a with block.

    Args:
        address: of the server, such as http://127.0.0.1:8080.
        api_key: where the server asks for one.
        timeout: seconds for one attempt.
        retries: attempts after the first.
        transport: in place of the network, such as `httpx.MockTransport` in tests of programs that use this.

    Raises, in each method:
        Problem: the server says what was wrong.
        Unreachable: nobody answered, or not as Hearth does.
        BadInput: what is asked for cannot be asked; nothing was sent.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        retries: int = RETRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.Client(base_url=address, headers=_headers(api_key), timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def recommend(self, placement: str, **asked: Unpack[Asked]) -> RecommendReply:
        """One ranked list."""
        return self._answer(_recommend(placement, asked), RecommendReply)

    def send(self, events: Sequence[Mapping[str, Any]]) -> EventsReply:
        """Tell what people did; each event has an outcome of its own."""
        return self._answer(_send(events), EventsReply)

    def version(self) -> Version:
        """What runs there."""
        return self._answer(_Call("GET", "/version"), Version)

    def _answer(self, call: _Call, kind: type[Reply]) -> Reply:
        attempt = 0
        failure: HearthError
        while True:
            try:
                response = self._http.request(call.method, call.path, content=call.content)
            except httpx.TransportError as error:
                wait, failure = _backoff(attempt), _unreachable(self._http.base_url, error)
            else:
                if response.status_code not in _LATER:
                    return _parsed(response, kind)
                wait, failure = _named_wait(response, attempt), _problem(response)
            if attempt == self._retries:
                raise failure
            attempt += 1
            time.sleep(wait)


class AsyncClient:
    """As `Client`, for programs with an event loop."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        retries: int = RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=address, headers=_headers(api_key), timeout=timeout, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def recommend(self, placement: str, **asked: Unpack[Asked]) -> RecommendReply:
        """See `Client.recommend`."""
        return await self._answer(_recommend(placement, asked), RecommendReply)

    async def send(self, events: Sequence[Mapping[str, Any]]) -> EventsReply:
        """See `Client.send`."""
        return await self._answer(_send(events), EventsReply)

    async def version(self) -> Version:
        """See `Client.version`."""
        return await self._answer(_Call("GET", "/version"), Version)

    async def _answer(self, call: _Call, kind: type[Reply]) -> Reply:
        attempt = 0
        failure: HearthError
        while True:
            try:
                response = await self._http.request(call.method, call.path, content=call.content)
            except httpx.TransportError as error:
                wait, failure = _backoff(attempt), _unreachable(self._http.base_url, error)
            else:
                if response.status_code not in _LATER:
                    return _parsed(response, kind)
                wait, failure = _named_wait(response, attempt), _problem(response)
            if attempt == self._retries:
                raise failure
            attempt += 1
            await asyncio.sleep(wait)


def _headers(api_key: str | None) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept": "application/json"}
    return headers if api_key is None else {**headers, "authorization": f"Bearer {api_key}"}


def _recommend(placement: str, asked: Asked) -> _Call:
    if not placement.replace("-", "").isalnum():
        raise BadInput(f"a placement is named in small letters, digits and hyphens; got {placement!r}")
    return _Call("POST", f"/v1/placements/{placement}:recommend", _content(RecommendBody, dict(asked)))


def _send(events: Sequence[Mapping[str, Any]]) -> _Call:
    return _Call("POST", "/v1/events", _content(EventsBody, {"events": [dict(event) for event in events]}))


def _content(kind: type[BaseModel], fields: Mapping[str, Any]) -> str:
    """The body as JSON, looked at before it is sent as the server will look at it."""
    try:
        return kind.model_validate(_plain(fields)).model_dump_json(exclude_unset=True)
    except ValidationError as error:
        raise BadInput(f"this cannot be asked: {faults_of(error)}") from None


def _plain(value: Any) -> Any:
    """Sequences as lists: the server's types are strict."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return value


def _parsed(response: httpx.Response, kind: type[Reply]) -> Reply:
    if not response.is_success:
        raise _problem(response)
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise Unreachable(
            f"{response.url.copy_with(path='')} does not speak as Hearth does: {faults_of(error)}"
        ) from None


def _problem(response: httpx.Response) -> HearthError:
    try:
        return Problem(response.status_code, ProblemBody.model_validate_json(response.content))
    except ValidationError:
        return Unreachable(
            f"{response.url.copy_with(path='')} answered {response.status_code}, and not as Hearth does; "
            "is something in between?"
        )


def _unreachable(address: httpx.URL, error: httpx.TransportError) -> Unreachable:
    return Unreachable(f"{address} did not answer: {type(error).__name__}")


def _named_wait(response: httpx.Response, attempt: int) -> float:
    """Seconds that the server names; a little more, so that not all come back at once."""
    try:
        named = float(response.headers.get("retry-after", ""))
    except ValueError:
        return _backoff(attempt)
    return min(named, _LONGEST_WAIT) + random.uniform(0, 0.1)  # noqa: S311 - not a secret


def _backoff(attempt: int) -> float:
    return random.uniform(0, min(0.1 * 2.0**attempt, _LONGEST_WAIT))  # noqa: S311 - not a secret
