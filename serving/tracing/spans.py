"""The spans of a request: one for the whole of it, and one below for each step where time goes.

All that a span says is written here, by hand, and it is nothing of what was sent: the template of a route and never an
address, the name of a placement that is configured, the type of an exception and never its text.

Nothing is made for a request that is not recorded, and nothing at all where there is no tracer.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    format_trace_id,
    set_span_in_context,
)

from serving.trace import request_id, sender_of

# Those of RFC 9110 and RFC 5789. A method is any word that a client likes, so that others are not told apart
# (OpenTelemetry's semantic conventions for HTTP spans say the same).
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_OTHER_METHOD = ("_OTHER", "HTTP")  # as an attribute, and in a span's name
_EMPTY = Context()
_NOTHING = nullcontext()


class _Place(NamedTuple):
    """Where a request that is recorded is just now."""

    tracer: Tracer
    span: Span


# Ours alone, and not the context of OpenTelemetry: what else is loaded into the process adds no spans below these.
_HERE: ContextVar[_Place | None] = ContextVar("hearth_trace", default=None)


def step(name: str) -> AbstractContextManager[None]:
    """Hold this around a step of a request; where the request is not recorded, it does nothing.

    name: in words that are the same for every request.
    """
    here = _HERE.get()
    return _NOTHING if here is None else _Step(here, name)


def note_list(model_id: str | None, privacy_tier: str, degraded: Sequence[str]) -> None:
    """Let the span of the present step, or of the request, say what a list was made with."""
    here = _HERE.get()
    if here is not None:
        lacking = {"hearth.degraded": tuple(degraded)} if degraded else {}
        named = {} if model_id is None else {"hearth.model_id": model_id}
        here.span.set_attributes({**named, "hearth.privacy_tier": privacy_tier, **lacking})


class RequestSpan:
    """The span of one request: hold it around the answer, and end it when the reply is known.

    tracer: decides whether the request is recorded, by the sender's word where the request names a trace.
    """

    def __init__(self, tracer: Tracer, method: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        sender, context = sender_of(headers), _EMPTY
        if sender is not None:
            flags = TraceFlags(TraceFlags.SAMPLED if sender.records else TraceFlags.DEFAULT)
            # Without the header tracestate: what others write there is theirs, and need not be harmless.
            parent = SpanContext(int(sender.trace_id, 16), int(sender.span_id, 16), is_remote=True, trace_flags=flags)
            context = set_span_in_context(NonRecordingSpan(parent), _EMPTY)
        self._method, self._named = (method, method) if method in _METHODS else _OTHER_METHOD
        self._span = tracer.start_span(self._named, context, SpanKind.SERVER)
        self._place = _Place(tracer, self._span) if self._span.is_recording() else None
        self._token: Token[_Place | None] | None = None
        self._failure: str | None = None
        made = self._span.get_span_context()
        # OTEL_SDK_DISABLED=true makes spans without an id of their own.
        self.request_id = format_trace_id(made.trace_id) if made.is_valid else request_id(headers)

    def __enter__(self) -> None:
        if self._place is not None:
            self._token = _HERE.set(self._place)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._token is not None:
            _HERE.reset(self._token)
        self._failure = None if kind is None else kind.__name__

    def end(self, route: str | None, placement: str, status: int) -> None:
        """The reply has gone.

        route: the template of the route; None where there is none.
        placement: one that is configured; "" for none.
        """
        if self._place is None:
            return
        said: dict[str, str | int] = {"http.request.method": self._method, "http.response.status_code": status}
        if route is not None:
            self._span.update_name(f"{self._named} {route}")
            said["http.route"] = route
        if placement:
            said["hearth.placement"] = placement
        self._span.set_attributes(said)
        if status >= 500 or self._failure is not None:
            _fail(self._span, self._failure or str(status))
        self._span.end()


class _Step:
    """A span below the one that is here, until it is left."""

    def __init__(self, here: _Place, name: str) -> None:
        self._here, self._name = here, name

    def __enter__(self) -> None:
        tracer, above = self._here
        self._span = tracer.start_span(self._name, set_span_in_context(above, _EMPTY))
        self._token = _HERE.set(_Place(tracer, self._span))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _HERE.reset(self._token)
        if kind is not None:
            _fail(self._span, kind.__name__)
        self._span.end()


def _fail(span: Span, what: str) -> None:
    """What: the name of a type, or a status; the text of an exception may quote what was sent."""
    span.set_attribute("error.type", what)
    span.set_status(StatusCode.ERROR)
