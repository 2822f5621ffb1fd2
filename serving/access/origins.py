"""Origins: whose web pages a browser lets ask this server (CORS). Nobody's, unless they are configured."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from serving.problems import other_origin, respond

_METHODS = ("GET", "POST", "PUT", "DELETE")
_HEADERS = ("authorization", "content-type", "idempotency-key", "if-none-match", "range", "traceparent")
_SHOWN = ("etag", "retry-after", "x-request-id")


def allowing(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """The app, for pages of these origins too; `*` is everybody's. No cookies: a key goes into a header by hand."""
    if not origins:
        return app
    return _Origins(
        app, allow_origins=origins, allow_methods=_METHODS, allow_headers=_HEADERS, expose_headers=_SHOWN, max_age=600
    )


class _Origins(CORSMiddleware):
    """Starlette's, whose refusals are problems."""

    def preflight_response(self, request_headers: Headers) -> Response:
        found = super().preflight_response(request_headers)
        if found.status_code == 200:
            return found
        refusal = respond(other_origin())
        refusal.headers["vary"] = "Origin"
        return refusal
