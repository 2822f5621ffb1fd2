"""Around every request: its id, the limit of its body, one line of log and its metrics. Pure ASGI."""

import asyncio
import logging
import time
from collections.abc import Callable, Container
from contextlib import nullcontext

from opentelemetry.trace import Tracer
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access.shedding import WHOLE_AT
from serving.metrics import Metrics, at_hand
from serving.problems import framed_twice, stopping
from serving.trace import request_id
from serving.tracing.spans import RequestSpan

_LOG = logging.getLogger("serving.requests")
_BOTH_FRAMES = {b"content-length", b"transfer-encoding"}
_UNTRACED = nullcontext()
_UNKNOWN = "unknown"  # of the route that nothing matches


def observed(
    app: ASGIApp,
    metrics: Metrics,
    placements: Callable[[], Container[str]],
    max_body_bytes: int,
    body_seconds: float,
    tracer: Tracer | None = None,
) -> ASGIApp:
    """The app, observed.

    HEAD is asked of the app as GET; the server below drops the body of the reply. A body framed in two ways is
    refused (RFC 9112, section 6.1). A request that is cancelled, which only the end of the server does, is answered
    by 503.

    What is logged, counted and traced is the template of the route and the name of a configured placement: an address
    as it was sent, a query string or a body may hold what belongs to a person.

    tracer: makes the span of each request; None for none.
    """
    requests, durations = at_hand(metrics.requests), at_hand(metrics.seconds)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        started = time.perf_counter()
        span = None if tracer is None else RequestSpan(tracer, scope["method"], scope["headers"])
        identifier = request_id(scope["headers"]) if span is None else span.request_id
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # a copy: below, it stays what it is
        status, begun = 500, False  # unless a reply begins

        async def send_named(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = [*message["headers"], (b"x-request-id", identifier.encode())]
            await send(message)

        try:
            if {name for name, _ in scope["headers"]} >= _BOTH_FRAMES:
                await framed_twice()(scope, receive, send_named)
                return
            with span or _UNTRACED:
                await app(scope, _limited(receive, scope, max_body_bytes, body_seconds), send_named)
        except asyncio.CancelledError:
            # Not raised on: this is the whole of the task, and below us it would be logged as a fault of the app.
            if not begun:
                await stopping()(scope, receive, send_named)
        finally:
            seconds = time.perf_counter() - started
            route = _template(scope)
            placement = scope.get("path_params", {}).get("placement", "")
            placement = placement if placement in placements() else ""
            labels = (route, placement, status)
            requests(*labels).inc()
            durations(*labels).observe(seconds)
            fields = {"route": route, "status": status, "ms": round(seconds * 1e3, 3), "request_id": identifier}
            _LOG.info("request", extra={"fields": fields})
            if span is not None:
                span.end(None if route == _UNKNOWN else route, placement, status)

    return answer


def _template(scope: Scope) -> str:
    route = scope.get("route")
    return route.path_format if isinstance(route, Route) else _UNKNOWN


def _limited(receive: Receive, scope: Scope, max_body_bytes: int, body_seconds: float) -> Receive:
    """Receive a body within the limits; raise what becomes a 413 as soon as it is announced or found to be larger.

    A body that is not whole in time becomes a 408. Its connection is closed: what still comes is no next request.
    """
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    received, whole = 0, False
    deadline: float | None = None

    async def receive_limited() -> Message:
        nonlocal received, whole, deadline
        if int(length) > max_body_bytes:  # the server below us refuses a length that is no number
            raise HTTPException(413)
        if whole or WHOLE_AT in scope.get("state", {}):  # nothing of it is waited for
            message = await receive()
        else:
            if deadline is None:
                deadline = asyncio.get_running_loop().time() + body_seconds
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, headers={"connection": "close"}) from None
        whole = not message.get("more_body", False)
        received += len(message.get("body", b""))
        if received > max_body_bytes:
            raise HTTPException(413)
        return message

    return receive_limited
