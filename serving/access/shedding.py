"""Load shedding: more than can be answered soon is told to come back, before everybody waits for everybody. Pure ASGI.

Two things are bounded. How long a request has waited for its turn since it had come whole: one thread computes all
replies, so that this is where requests queue, and one whose client has given up by then would be computed for nobody.
And how many requests wait for a store at the same time.

A queue that comes and goes does no harm; one that stays does (CoDel: Nichols and Jacobson, ACM Queue 10(5), 2012; for
servers Maurer, "Fail at Scale", ACM Queue 13(8), 2015). So a request may wait long, until others have waited too long
again and again for a while.

A batch is as many requests as it has entries. One that is larger than all the room that there is has to come alone.

Whether the process lives, is ready, and what it has measured, is answered whatever the load.
"""

import time
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access.entries import count_entries
from serving.access.turning_away import TurnAway
from serving.problems import Problem, overloaded

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


class _Room:
    """How many requests are under way, of so many at most."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0


class _Places:
    """What one request has of the room: one place once it is in, and of a batch one more for each further entry."""

    def __init__(self, room: _Room) -> None:
        self._room, self._taken = room, 0

    @property
    def is_in(self) -> bool:
        return self._taken > 0

    def take(self, places: int) -> None:
        self._room.taken += places
        self._taken += places

    def take_more(self, entries: int) -> Problem | None:
        """Places for further entries of a batch that is in, or the problem that there are none."""
        others = self._room.taken - self._taken
        if others and self._room.taken + entries > self._room.most:
            return overloaded()
        self.take(entries)
        return None

    def give_back(self) -> None:
        self._room.taken -= self._taken


def shedding(app: ASGIApp, max_under_way: int, queue_seconds: float, turn_away: TurnAway) -> ASGIApp:
    """The app, with no more requests in it than it can answer soon.

    max_under_way: requests that have begun to be answered and are not yet; while a body is still coming in, a
        request is none of them.
    queue_seconds: the target of `Queue`.
    """
    room, queue = _Room(max_under_way), Queue(queue_seconds)

    def is_full(scope: Scope) -> bool:
        now = time.monotonic()
        waited = now - scope.get("state", {}).get(WHOLE_AT, now)
        return queue.is_too_long(waited, now) or room.taken >= room.most

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in _ALWAYS:
            await app(scope, receive, send)
            return
        places = _Places(room)
        count_entries(scope, places.take_more)

        async def receive_in_turn() -> Message:
            """The body; once it is whole, and not before, the request needs a place."""
            message = await receive()
            if not places.is_in and not message.get("more_body", False):
                if is_full(scope):
                    problem = overloaded()
                    raise HTTPException(problem.status, headers=dict(problem.headers))
                places.take(1)
            return message

        try:
            if WHOLE_AT in scope.get("state", {}):  # it is whole already
                if is_full(scope):
                    await turn_away(overloaded(), scope, receive, send)
                    return
                places.take(1)
            await app(scope, receive_in_turn, send)
        finally:
            places.give_back()

    return answer
