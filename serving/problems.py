"""Errors over HTTP: RFC 9457 problem details, written here and nowhere else. No text of an exception gets out."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from feature_store.errors import (
    CheckpointError,
    HearthError,
    NothingPromoted,
    RegistryConflict,
    RegistryUnavailable,
    StoreError,
    StoreUnavailable,
    UnknownCheckpoint,
)
from serving.errors import (
    Fault,
    ModelNotLoaded,
    ModelTooLarge,
    NoBundle,
    NoCatalogue,
    NoModel,
    OtherCheckpoint,
    RequestRefused,
    UnknownCatalogueItem,
    UnknownErasure,
    UnknownPlacement,
)
from serving.placements.conditions import AS_NAMES, AS_RANGE
from serving.schemas import ProblemBody, ProblemFault

# What we say of a status that the framework, and not a rule of ours, came to.
_FRAMEWORK = {
    400: ("malformed-body", "The body is not JSON."),
    404: ("unknown-route", "There is nothing at this address; /docs shows what there is."),
    405: ("method-not-allowed", "This address does not take that method; the Allow header names those it takes."),
    408: ("body-too-slow", "The body did not come in time."),
    413: ("body-too-large", "The body is larger than this server takes."),
    415: ("unsupported-media-type", "A body is sent as application/json."),
    416: ("range-not-satisfiable", "The file has nothing of what Range asks for; Content-Range says how long it is."),
    503: ("overloaded", "More is asked at the moment than can be answered soon."),
}
_CLOSE = {"connection": "close"}
_RETRY = {"retry-after": "1"}  # seconds; what is missing is looked for again at least as often


_MOST_FAULTS = 20  # in one problem
_LONGEST_NAME = 80  # of an unknown field that is given back
_READ_AS = {AS_NAMES, AS_RANGE}  # steps of pydantic's that are none of the JSON
_NO_OBJECT = {"model_type", "model_attributes_type", "dict_type"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, before it is put into words of JSON.

    slug: makes the relative type, `/problems/<slug>`.
    extensions: further members, such as the checks of a server that is not ready.
    """

    slug: str
    status: int
    detail: str
    faults: tuple[Fault, ...] = ()
    extensions: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> ProblemBody:
        """The members that every problem has."""
        return ProblemBody(
            type=f"/problems/{self.slug}",
            title=self.slug.replace("-", " ").capitalize(),
            status=self.status,
            detail=self.detail,
            errors=[ProblemFault(pointer=f.pointer, detail=f.detail) for f in self.faults] or None,
        )


def respond(problem: Problem) -> Response:
    """The problem as a reply."""
    # ASCII: the name of an unknown field is given back in a pointer, and it may be no valid Unicode.
    content = json.dumps(problem.body().model_dump(exclude_none=True) | dict(problem.extensions))
    headers = dict(problem.headers)
    return Response(content, problem.status, headers, media_type="application/problem+json")


def refused(faults: Iterable[Fault]) -> Problem:
    """A request, or an event of a batch, that breaks a rule."""
    return Problem("invalid-request", 422, "The request breaks the rules that errors names.", tuple(faults))


def faults_of(error: ValidationError | RequestValidationError, within: str = "#") -> list[Fault]:
    """What a schema found wrong, each with its place below `within`; a value that was sent is never given back.

    At most 20, and where there are more, a last one that says how many. A schema stops early by itself, so that what
    is left out here is little.
    """
    parts = error.errors()
    skipped = 1 if isinstance(error, RequestValidationError) else 0  # the framework's places begin with "body"
    found = [_fault(part, part["loc"][skipped:], within) for part in parts[:_MOST_FAULTS]]
    if len(parts) > _MOST_FAULTS:
        found.append(Fault(within, f"and {len(parts) - _MOST_FAULTS} more"))
    return found


def _fault(part: Mapping[str, Any], place: Sequence[str | int], within: str) -> Fault:
    """One fault, in words for who writes JSON and not Python."""
    place = [step for step in place if step not in _READ_AS]
    kind, detail = part["type"], part["msg"].removeprefix("Value error, ")  # pydantic's word for an error of ours
    if kind in _NO_OBJECT or (kind == "missing" and not place):  # no body at all
        detail = "a JSON object is required"
    elif kind == "list_type":
        detail = "a JSON array is required"
    elif kind == "too_short":
        detail = f"at least {part['ctx']['min_length']} of them"
    elif kind == "too_long":
        detail = f"at most {part['ctx']['max_length']} of them"
    elif kind == "missing":
        detail = "this field is required"
    elif kind == "extra_forbidden":
        detail = "there is no such field"
    elif kind == "recursion_depth_exceeded":
        place, detail = place[:2], "nested too deeply"  # each further step would be one of the schema, too
    if place and len(str(place[-1])) > _LONGEST_NAME:  # of an unknown field: what is given back is bounded
        place, detail = place[:-1], f"there is no field with a name of more than {_LONGEST_NAME} characters"
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in place)
    return Fault("/".join((within, *steps)), detail)


def unready(checks: Mapping[str, object]) -> Problem:
    """A server that cannot answer yet."""
    detail = "No checkpoint has been promoted that could be loaded."
    return Problem("not-ready", 503, detail, extensions={"checks": checks}, headers=_RETRY)


def without_key() -> Problem:
    """A request that names no API key, or one that nobody has."""
    detail = "This server wants an API key: Authorization: Bearer KEY."
    return Problem("unauthorized", 401, detail, headers={"www-authenticate": 'Bearer realm="hearth"'})


def beyond_scope(scope: str) -> Problem:
    """A request whose API key may do other things alone."""
    challenge = f'Bearer realm="hearth", error="insufficient_scope", scope="{scope}"'
    return Problem(
        "forbidden", 403, f"This needs an API key of scope {scope}.", headers={"www-authenticate": challenge}
    )


def for_whole_server() -> Problem:
    """A request about the server as a whole, with a tenant's API key."""
    return Problem("forbidden", 403, "This concerns all tenants: it needs an API key that belongs to none of them.")


def other_origin() -> Problem:
    """What a browser asks in advance (CORS) for a page that may not ask, or not that."""
    return Problem("origin-not-allowed", 400, "Pages of this origin may not ask this server, or not in this way.")


def too_many(seconds: int) -> Problem:
    """A request beyond the rate of its API key; seconds: until there is room for one."""
    return Problem("too-many-requests", 429, "This API key asks too fast.", headers={"retry-after": str(seconds)})


def quota_used_up(seconds: int) -> Problem:
    """A request beyond the day's quota of its API key; seconds: until midnight, UTC."""
    detail = "This API key has asked as often as it may in one day (UTC)."
    return Problem("quota-used-up", 429, detail, headers={"retry-after": str(seconds)})


def overloaded() -> Problem:
    """A request that would have had to wait for too long."""
    return of_status(503, _RETRY)


MALFORMED_REQUEST = Problem("malformed-request", 400, "What was sent is not an HTTP/1.1 request.")


def below_interface() -> Response:
    """The reply to what is no HTTP request, and so has no route."""
    return respond(MALFORMED_REQUEST)


def framed_twice() -> Response:
    """The reply to a request of which two readers could see two ends: what follows must not be taken for another."""
    detail = "A request has Content-Length or Transfer-Encoding, not both."
    return respond(Problem("malformed-request", 400, detail, headers=_CLOSE))


STOPPING = Problem(
    "stopping",
    503,
    "The server stops, and has not answered; the request may be sent again, events too.",
    headers=_RETRY | _CLOSE,
)


def stopping() -> Response:
    """The reply to a request that was not answered before the server had to stop."""
    return respond(STOPPING)


_STORE_UNAVAILABLE = Problem(
    "store-unavailable",
    503,
    "Not all of it was stored, or could be read; send it again. What was stored changes nothing then.",
    headers=_RETRY,
)

_OF_ERRORS: Mapping[type[Exception], Problem] = {
    UnknownPlacement: Problem("unknown-placement", 404, "This server has no placement of that name."),
    UnknownCheckpoint: Problem("unknown-model", 404, "The registry has no checkpoint of that id."),
    NothingPromoted: Problem("nothing-promoted", 409, "There is no checkpoint to go back to."),
    CheckpointError: Problem("unusable-model", 409, "The checkpoint is damaged, or nobody trusted has signed it."),
    RegistryConflict: Problem(
        "registry-conflict", 409, "Others have changed the stages; look at them, then ask again."
    ),
    RegistryUnavailable: Problem("registry-unavailable", 503, "The registry cannot be reached now.", headers=_RETRY),
    UnknownErasure: Problem("unknown-erasure", 404, "This server has given no such receipt, or long ago."),
    ModelNotLoaded: Problem("model-not-loaded", 409, "The checkpoint is neither in production nor on trial here."),
    NoBundle: Problem("no-bundle", 404, "This server has no item bundle of that checkpoint."),
    NoCatalogue: Problem("no-catalogue", 404, "This server has no catalogues: none is configured."),
    UnknownCatalogueItem: Problem("unknown-item", 404, "The vertical has no item of that id."),
    NoModel: Problem("no-model", 503, "No checkpoint has been promoted that could be loaded.", headers=_RETRY),
    StoreUnavailable: _STORE_UNAVAILABLE,
    StoreError: _STORE_UNAVAILABLE,  # it is damaged, or was written by a later Hearth, until somebody mends that
    # uvicorn closes the connection after it: a client that was not told sends its next request into a reset.
    Exception: Problem(
        "internal-error", 500, "The server failed; its log knows more under the request id.", headers=_CLOSE
    ),
}
"""Errors that are always the same problem."""


def of_kind(kind: type[Exception]) -> Problem:
    """What an error of that kind is answered with, as far as that is always the same."""
    if kind is OtherCheckpoint:
        return _OTHER_CHECKPOINT
    if kind is ModelTooLarge:
        return _MODEL_TOO_LARGE
    return _OF_ERRORS[kind]


def problem_of(error: HearthError, within: str = "#") -> Problem:
    """What an error would be answered with, its faults below `within`; an error that is no problem is raised again."""
    if isinstance(error, RequestRefused):
        return refused(Fault(within + fault.pointer.removeprefix("#"), fault.detail) for fault in error.faults)
    if isinstance(error, OtherCheckpoint):
        return _other_checkpoint(error)
    if isinstance(error, ModelTooLarge):
        return _model_too_large(error)
    for kind in type(error).__mro__:
        if kind in _OF_ERRORS and kind is not Exception:
            return _OF_ERRORS[kind]
    raise error


_MODEL_TOO_LARGE = Problem(
    "model-too-large", 409, "Loading the checkpoint would take more memory than this server allows a model."
)


def _model_too_large(error: ModelTooLarge) -> Problem:
    figures = {"expected_bytes": error.expected, "max_model_bytes": error.most}
    return replace(_MODEL_TOO_LARGE, extensions=figures)


_OTHER_CHECKPOINT = Problem(
    "checkpoint-mismatch", 409, "The vector belongs to another checkpoint than the one that answers now."
)


def _other_checkpoint(error: OtherCheckpoint) -> Problem:
    detail = f"The vector belongs to checkpoint {error.given}; checkpoint {error.live} answers now."
    ids = {"given_checkpoint_id": error.given, "live_checkpoint_id": error.live}
    return replace(_OTHER_CHECKPOINT, detail=detail, extensions=ids)


def _always(problem: Problem) -> Callable[[Request, Exception], Response]:
    return lambda _request, _error: respond(problem)


def install(app: FastAPI) -> None:
    """Let every error of the app, the framework's own included, become a problem."""
    for kind, problem in _OF_ERRORS.items():
        app.add_exception_handler(kind, _always(problem))

    @app.exception_handler(RequestRefused)
    async def request_refused(_request: Request, error: RequestRefused) -> Response:
        return respond(refused(error.faults))

    @app.exception_handler(OtherCheckpoint)
    async def other_checkpoint(_request: Request, error: OtherCheckpoint) -> Response:
        return respond(_other_checkpoint(error))

    @app.exception_handler(ModelTooLarge)
    async def model_too_large(_request: Request, error: ModelTooLarge) -> Response:
        return respond(_model_too_large(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        if any(part["type"] == "json_invalid" for part in error.errors()):
            return respond(of_status(400))
        return respond(refused(faults_of(error)))

    @app.exception_handler(HTTPException)
    async def framework(_request: Request, error: HTTPException) -> Response:
        return respond(_of_http(error))


def _of_http(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"  # see serving.observed
    problem = of_status(error.status_code, headers)
    return _unread(problem, error.__cause__) if error.status_code == 400 else problem


def _unread(problem: Problem, cause: BaseException | None) -> Problem:
    """A body that could not be read as JSON: what stopped the reader, which the framework keeps as a cause alone."""
    if isinstance(cause, UnicodeDecodeError):
        return replace(problem, detail="The body is not in UTF-8.")
    if isinstance(cause, RecursionError):
        return replace(problem, detail="The body is nested too deeply.")
    if isinstance(cause, ValueError):  # of Python's reader: an integer beyond sys.get_int_max_str_digits()
        return replace(problem, detail="A number in the body has too many digits.")
    return problem


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """What the framework, and no rule of ours, answers with that status."""
    slug, detail = _FRAMEWORK.get(status, ("http-error", HTTPStatus(status).description or HTTPStatus(status).phrase))
    return Problem(slug, status, detail, headers=headers or {})
