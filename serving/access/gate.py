"""The gate: who may ask what. It reads the head of a request alone, before any of its body. Pure ASGI.

What concerns the server as a whole, and not one tenant's people or placements, wants a key without a tenant. What is
not named here does, and scope admin: a route that is new is shut until somebody says who may use it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.access.allowance import Allowances, Beyond
from serving.access.entries import count_entries
from serving.access.keys import ApiKey, ApiKeys, Caller, caller_with
from serving.access.keys import Scope as KeyScope
from serving.access.turning_away import TurnAway
from serving.problems import Problem, beyond_scope, for_whole_server, quota_used_up, too_many, without_key

_OPEN = frozenset({"/livez", "/readyz", "/version", "/openapi.json", "/docs"})
_OPEN_BELOW = "/docs-assets/"
_METRICS = "/metrics"


class Entry(NamedTuple):
    """What a key needs for some addresses.

    by_tenants: whether a tenant's key is enough.
    """

    scope: KeyScope
    by_tenants: bool


_ENTRIES = (
    ("/v1/placements/", Entry("recommend", by_tenants=True)),
    ("/v1/events", Entry("ingest", by_tenants=True)),
    ("/v1/privacy/", Entry("admin", by_tenants=True)),
    ("/v1/item-bundles", Entry("recommend", by_tenants=False)),  # they hold the items of everybody
    (_METRICS, Entry("metrics", by_tenants=False)),
)
_ANYTHING_ELSE = Entry("admin", by_tenants=False)


def entry_of(path: str) -> Entry:
    """What a key needs for that address, were it not open to all."""
    return next((entry for prefix, entry in _ENTRIES if path.startswith(prefix)), _ANYTHING_ELSE)


def guarded(
    app: ASGIApp, keys: Callable[[], ApiKeys], allowances: Allowances, turn_away: TurnAway, *, open_metrics: bool
) -> ASGIApp:
    """The app behind the gate.

    keys: those that are good now.
    open_metrics: give metrics to whoever asks.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in _OPEN or path.startswith(_OPEN_BELOW) or (open_metrics and path == _METRICS):
            await app(scope, receive, send)
            return
        secret, entry = _secret(scope), entry_of(path)
        caller = None if secret is None else caller_with(secret, keys())
        if caller is None:
            await turn_away(without_key(), scope, receive, send)
        elif entry.scope not in caller.key.scopes:
            await turn_away(beyond_scope(entry.scope), scope, receive, send)
        elif caller.tenant is not None and not entry.by_tenants:
            await turn_away(for_whole_server(), scope, receive, send)
        elif (beyond := allowances.take(caller)) is not None:
            await turn_away(_problem_of(beyond), scope, receive, send)
        else:
            scope.setdefault("state", {})["caller"] = caller
            count_entries(scope, partial(_entries_of, allowances, caller))
            await app(scope, receive, send)

    return answer


def _entries_of(allowances: Allowances, caller: Caller, number: int) -> Problem | None:
    beyond = allowances.take_more(caller, number)
    return None if beyond is None else _problem_of(beyond)


def _problem_of(beyond: Beyond) -> Problem:
    return (too_many if beyond.limit == "rate" else quota_used_up)(beyond.seconds)


_ANYBODY = Caller("", ApiKey(hash="sha256:" + "0" * 64, scopes=frozenset({"recommend", "ingest", "admin", "metrics"})))


def caller_of(request: Request) -> Caller:
    """Who asks; where the server wants no keys, somebody without a name and a tenant who may do anything."""
    found: Caller = request.scope.get("state", {}).get("caller", _ANYBODY)
    return found


def _secret(scope: Scope) -> str | None:
    """The key that a request names (RFC 6750, section 2.1); None where it names none, or several."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, secret = given[0].decode("latin-1").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None
