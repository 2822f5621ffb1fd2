"""Problems: RFC 9457 problem details, written here and nowhere else; `serving.error_problems` has those of errors."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.responses import Response

from serving.errors import Fault
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
CLOSE = {"connection": "close"}
RETRY = {"retry-after": "1"}  # seconds; what is missing is looked for again at least as often


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


def unready(checks: Mapping[str, object]) -> Problem:
    """A server that cannot answer yet."""
    detail = "No checkpoint has been promoted that could be loaded."
    return Problem("not-ready", 503, detail, extensions={"checks": checks}, headers=RETRY)


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
    return of_status(503, RETRY)


MALFORMED_REQUEST = Problem("malformed-request", 400, "What was sent is not an HTTP/1.1 request.")


def below_interface() -> Response:
    """The reply to what is no HTTP request, and so has no route."""
    return respond(MALFORMED_REQUEST)


def framed_twice() -> Response:
    """The reply to a request of which two readers could see two ends: what follows must not be taken for another."""
    detail = "A request has Content-Length or Transfer-Encoding, not both."
    return respond(Problem("malformed-request", 400, detail, headers=CLOSE))


STOPPING = Problem(
    "stopping",
    503,
    "The server stops, and has not answered; the request may be sent again, events too.",
    headers=RETRY | CLOSE,
)


def stopping() -> Response:
    """The reply to a request that was not answered before the server had to stop."""
    return respond(STOPPING)


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """What the framework, and no rule of ours, answers with that status."""
    slug, detail = _FRAMEWORK.get(status, ("http-error", HTTPStatus(status).description or HTTPStatus(status).phrase))
    return Problem(slug, status, detail, headers=headers or {})
