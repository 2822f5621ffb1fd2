"""The direct way to a route that is asked often: past the framework, which takes longer for a request than we do.

The framework describes such a route, and reads what is not as it should be: its refusals are the same on both ways.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feature_store.errors import HearthError
from serving.error_problems import of_http, of_kind, problem_of
from serving.problems import respond
from serving.routes.parts import is_json, require_utf_8

Body = TypeVar("Body", bound=BaseModel)
Endpoint: TypeAlias = Callable[[str, Body, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, eq=False)
class _Direct:
    """A route as the framework has it, and what answers it without."""

    route: APIRoute
    endpoint: Endpoint[Any]
    body: type[BaseModel]


def answer_directly(app: FastAPI, endpoint: Endpoint[Body], body: type[Body]) -> None:
    """Let the route of that endpoint be answered without the framework where a request is whole and well-formed.

    endpoint: takes the placement of the path, the body and the request, and depends on `takes_json` alone. Its errors
        are problems of `serving.error_problems`.
    """
    route = next(one for one in app.routes if isinstance(one, APIRoute) and one.endpoint is endpoint)
    app.state.direct = (*_directs(app), _Direct(route, endpoint, body))


def directly(app: FastAPI) -> ASGIApp:
    """The app, with a direct way to those of its routes that have one."""
    directs = _directs(app)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        for direct in directs:
            if scope["type"] == "http" and scope["method"] in (direct.route.methods or ()):
                match = direct.route.path_regex.match(scope["path"])
                if match is not None:
                    await _answer(app, direct, match["placement"], scope, receive, send)
                    return
        await app(scope, receive, send)

    return answer


def _directs(app: FastAPI) -> tuple[_Direct, ...]:
    return getattr(app.state, "direct", ())


async def _answer(app: FastAPI, direct: _Direct, placement: str, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive, send)
    messages: list[Message] = []
    try:
        while not messages or messages[-1].get("more_body", False):
            messages.append(await receive())
    except HTTPException as error:  # the body is too large, or too slow, or there is no room for it
        await app(scope, _again(messages, receive, error), send)
        return
    body = _read(request, messages, direct.body)
    if body is None:
        await app(scope, _again(messages, receive), send)
        return
    scope["route"], scope["path_params"] = direct.route, {"placement": placement}
    try:
        response = await _answered(direct, placement, body, request)
    except Exception:
        await respond(of_kind(Exception))(scope, receive, send)
        raise  # for the log
    await response(scope, receive, send)


async def _answered(direct: _Direct, placement: str, body: BaseModel, request: Request) -> Response:
    try:
        return await direct.endpoint(placement, body, request)
    except HearthError as error:
        return respond(problem_of(error))
    except HTTPException as error:
        return respond(of_http(error))


def _read(request: Request, messages: Sequence[Message], model: type[BaseModel]) -> BaseModel | None:
    """The body; None where anything is wrong with it."""
    if messages[-1]["type"] != "http.request" or not is_json(request):
        return None
    content = b"".join(message.get("body", b"") for message in messages)
    try:
        require_utf_8(content)
        return model.model_validate(json.loads(content))
    except (ValueError, RecursionError):
        return None


def _again(messages: Iterable[Message], receive: Receive, error: HTTPException | None = None) -> Receive:
    """Receive these messages once more, and then what follows, or that error."""
    waiting = iter(messages)

    async def receive_again() -> Message:
        message = next(waiting, None)
        if message is None and error is not None:
            raise error
        return message or await receive()

    return receive_again
