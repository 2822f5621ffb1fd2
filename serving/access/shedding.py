"""Load shedding: more than can be answered soon is told to come back, before everybody waits for everybody. Pure ASGI.

Two things are bounded. How long a request has waited for its turn since it had come whole: one thread computes all
replies, so that this is where requests queue, and one whose client has given up by then would be computed for nobody.
And how many requests wait for a store at the same time.

A queue that comes and goes does no harm; one that stays does (CoDel: Nichols and Jacobson, ACM Queue 10(5), 2012; for
servers Maurer, "Fail at Scale", ACM Queue 13(8), 2015). So a request may wait long, until others have waited too long
again and again for a while.

Whether the process lives, is ready, and what it has measured, is answered whatever the load.
"""

import time
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access.turning_away import TurnAway
from serving.problems import overloaded

WHOLE_AT: Final = "hearth_whole_at"  # in a request's state: when its last byte came, in seconds of `time.monotonic`
_ALWAYS = frozenset({"/livez", "/readyz", "/metrics"})
_STANDS = 5.0  # times the target: a queue that is over it for so long stands; one that was not for so long is gone
_PATIENCE = 10.0  # times the target: as long a request may wait in a queue that does not stand


class Queue:
    """Whether requests wait too long. All times in seconds, on one clock that never goes back.

    target: what a request may wait where many have.
    """

    def __init__(self, target: float) -> None:
        self._target = target
        self._began = self._last = float("-inf")  # the first and the last wait over the target, of one queue

    def is_too_long(self, waited: float, now: float) -> bool:
        """Whether a request that has waited so long is to be turned away; each request is asked about once."""
        if waited > self._target:
            if now - self._last > _STANDS * self._target:
                self._began = now
            self._last = now
        stands = now - self._last <= _STANDS * self._target <= self._last - self._began
        return waited > self._target * (1.0 if stands else _PATIENCE)


def shedding(app: ASGIApp, max_under_way: int, queue_seconds: float, turn_away: TurnAway) -> ASGIApp:
    """The app, with no more requests in it than it can answer soon.

    max_under_way: requests that have begun to be answered and are not yet; while a body is still coming in, a
        request is none of them.
    queue_seconds: the target of `Queue`.
    """
    under_way, queue = 0, Queue(queue_seconds)

    def is_full(scope: Scope) -> bool:
        now = time.monotonic()
        waited = now - scope.get("state", {}).get(WHOLE_AT, now)
        return queue.is_too_long(waited, now) or under_way >= max_under_way

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal under_way
        if scope["path"] in _ALWAYS:
            await app(scope, receive, send)
            return
        is_in = False

        async def receive_in_turn() -> Message:
            """The body; once it is whole, and not before, the request needs a place."""
            nonlocal under_way, is_in
            message = await receive()
            if not is_in and not message.get("more_body", False):
                if is_full(scope):
                    problem = overloaded()
                    raise HTTPException(problem.status, headers=dict(problem.headers))
                is_in = True
                under_way += 1
            return message

        try:
            if WHOLE_AT in scope.get("state", {}):  # it is whole already
                if is_full(scope):
                    await turn_away(overloaded(), scope, receive, send)
                    return
                is_in = True
                under_way += 1
            await app(scope, receive_in_turn, send)
        finally:
            if is_in:
                under_way -= 1

    return answer
