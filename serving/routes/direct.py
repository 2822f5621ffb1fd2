"""The direct way to a route that is asked often: past the framework, which takes longer to read a body than we do.

The framework describes such a route, and reads what is not as it should be: its refusals are the same on both ways.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.routes.parts import is_json, require_utf_8

Body = TypeVar("Body", bound=BaseModel)
Endpoint: TypeAlias = Callable[[str, Body, Request], Awaitable[Response]]


def answer_directly(app: FastAPI, endpoint: Endpoint[Body], body: type[Body]) -> None:
    """Let the route of that endpoint be answered without the framework where a request is whole and well-formed.

    endpoint: takes the placement of the path, the body and the request, and depends on `takes_json` alone.
    """
    route = next(one for one in app.routes if isinstance(one, APIRoute) and one.endpoint is endpoint)
    route.app = _direct(endpoint, body, route.app)


def _direct(endpoint: Endpoint[Body], model: type[Body], framework: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        messages = [await receive()]
        while messages[-1].get("more_body", False):
            messages.append(await receive())
        body = _read(request, messages, model)
        if body is None:
            await framework(scope, _again(messages, receive), send)
            return
        response = await endpoint(scope["path_params"]["placement"], body, request)
        await response(scope, receive, send)

    return answer


def _read(request: Request, messages: Sequence[Message], model: type[Body]) -> Body | None:
    """The body; None where anything is wrong with it."""
    if messages[-1]["type"] != "http.request" or not is_json(request):
        return None
    content = b"".join(message.get("body", b"") for message in messages)
    try:
        require_utf_8(content)
        return model.model_validate(json.loads(content))
    except (ValueError, RecursionError):
        return None


def _again(messages: Iterable[Message], receive: Receive) -> Receive:
    """Receive these messages once more, and then what follows."""
    waiting = iter(messages)

    async def receive_again() -> Message:
        return next(waiting, None) or await receive()

    return receive_again
