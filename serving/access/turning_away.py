"""Turning away: a request is refused before the app looks at it, and is still logged and counted by its route."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from prometheus_client import Counter
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from serving.problems import Problem, respond

TurnAway: TypeAlias = Callable[[Problem, Scope, Receive, Send], Awaitable[None]]


def turning_away(routes: Sequence[BaseRoute], turned_away: Counter) -> TurnAway:
    """What answers with a problem, names the route that the request would have had, and counts by the problem.

    routes: of the app, whose templates stand in the log and in metrics.
    """

    async def turn_away(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        turned_away.labels(problem.slug).inc()
        for route in routes:
            match, found = route.matches(scope)
            if match is not Match.NONE:
                scope.update(found)
                break
        await respond(problem)(scope, receive, send)

    return turn_away
