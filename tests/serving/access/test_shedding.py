"""Load shedding: as values, as an app, and a real server of which more is asked than it can answer."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from serving.access.entries import too_many_entries
from serving.access.polling import PolledSelector
from serving.access.shedding import WHOLE_AT, Queue, shedding
from serving.problems import Problem
from tests.serving.access.crowd import asking, crowd, percentile
from tests.serving.published import Publisher, draft
from tests.serving.running import PATIENCE, config_of, started

ROUTE = "/v1/placements/home:recommend"
PERSONAL = asking(b'{"k": 10, "session_events": [{"item_id": "item-1"}]}')  # all items are scored


@given(st.lists(st.tuples(st.floats(0, 8), st.floats(0, 25)), max_size=60))
def test_waits_over_the_target_are_too_long_once_they_have_come_for_five_targets_without_a_gap_of_five(
    steps: list[tuple[float, float]],
) -> None:
    """The oracle looks for the queue anew in all that has been waited so far, with a target of 1 s."""
    queue, now, over = Queue(target=1.0), 0.0, list[float]()
    for step, waited in steps:
        now += step
        if waited > 1.0:
            over.append(now)
        one_queue = over[-1:]
        for earlier in reversed(over[:-1]):
            if one_queue[0] - earlier > 5.0:
                break
            one_queue.insert(0, earlier)
        stands = bool(one_queue) and now - one_queue[-1] <= 5.0 and one_queue[-1] - one_queue[0] >= 5.0
        assert queue.is_too_long(waited, now) == (waited > (1.0 if stands else 10.0))


def test_one_long_stall_turns_nobody_away() -> None:
    queue = Queue(target=0.1)
    assert not queue.is_too_long(0.9, now=100.0)
    assert not any(queue.is_too_long(0.05, now=100.0 + step / 10) for step in range(100))


class App:
    """An app that reads the body, then answers when it may."""

    def __init__(self) -> None:
        self.may_answer, self.entered = asyncio.Event(), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        self.entered += 1
        await self.may_answer.wait()


class Doors:
    """The app behind shedding, and who was turned away."""

    def __init__(self, max_under_way: int) -> None:
        self.app, self.refused = App(), list[int]()
        self._shed = shedding(self.app, max_under_way, 10.0, self._turn_away)

    def ask(self, path: str = ROUTE, receive: Receive | None = None) -> Awaitable[None]:
        state = {WHOLE_AT: time.monotonic()} if receive is None else {}
        scope: Any = {"type": "http", "path": path, "state": state}
        return asyncio.create_task(self._shed(scope, receive or _whole, _nowhere))

    async def _turn_away(self, problem: Problem, _scope: Scope, _receive: Receive, _send: Send) -> None:
        self.refused.append(problem.status)


async def _whole() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _nowhere(_message: Message) -> None:
    raise AssertionError("nothing is sent here")


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.anyio
async def test_no_more_than_so_many_wait_at_one_time_and_one_that_is_done_makes_room() -> None:
    doors = Doors(max_under_way=2)
    asked = [doors.ask() for _ in range(5)]
    await settle()
    assert (doors.app.entered, doors.refused) == (2, [503, 503, 503])
    doors.app.may_answer.set()
    await asyncio.gather(*asked)
    await doors.ask()
    assert (doors.app.entered, len(doors.refused)) == (3, 3)


class BatchApp:
    """An app that is asked for batches alone, and answers when it may."""

    def __init__(self, entries: int) -> None:
        self.may_answer, self.entries = asyncio.Event(), entries
        self.refused: list[int] = []
        self.entered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (problem := too_many_entries(Request(scope), self.entries)) is not None:
            self.refused.append(problem.status)
            return
        self.entered += 1
        await self.may_answer.wait()


@pytest.mark.anyio
async def test_a_batch_takes_as_many_places_as_it_has_entries_and_gives_all_of_them_back() -> None:
    app = BatchApp(entries=4)

    async def turn_away(problem: Problem, _scope: Scope, _receive: Receive, _send: Send) -> None:
        app.refused.append(problem.status)

    shed = shedding(app, 10, 10.0, turn_away)

    def ask() -> Awaitable[None]:
        scope: Any = {"type": "http", "path": ROUTE, "state": {WHOLE_AT: time.monotonic()}}
        return asyncio.create_task(shed(scope, _whole, _nowhere))

    for _ in range(2):
        asked = [ask() for _ in range(4)]
        await settle()
        assert (app.entered, app.refused) == (2, [503, 503])
        app.may_answer.set()
        await asyncio.gather(*asked)
        app.may_answer.clear()
        app.entered, app.refused = 0, []

    app.entries = 50  # more than there is room for: it has to come alone
    asked = [ask(), ask()]
    await settle()
    assert (app.entered, app.refused) == (1, [503])
    app.may_answer.set()
    await asyncio.gather(*asked)


@pytest.mark.anyio
async def test_whether_it_lives_is_answered_however_many_wait() -> None:
    doors = Doors(max_under_way=1)
    waiting = [doors.ask(), doors.ask("/livez"), doors.ask("/readyz"), doors.ask("/metrics")]
    await settle()
    assert (doors.app.entered, doors.refused) == (4, [])
    doors.app.may_answer.set()
    await asyncio.gather(*waiting)


@pytest.mark.anyio
async def test_who_still_sends_a_body_holds_no_place_and_needs_one_when_it_is_whole() -> None:
    doors, comes = Doors(max_under_way=1), asyncio.Event()

    async def slowly() -> Message:
        await comes.wait()
        return await _whole()

    sending = [doors.ask(receive=slowly) for _ in range(3)]
    await settle()
    other = doors.ask()
    await settle()
    assert (doors.app.entered, doors.refused) == (1, [])  # three bodies under way kept nobody out
    comes.set()
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    assert [error.status_code for error in outcomes if isinstance(error, HTTPException)] == [503] * 3
    doors.app.may_answer.set()
    await other


def test_what_came_while_the_loop_computed_has_waited_since_then() -> None:
    selector, waited = PolledSelector(), list[float]()

    async def read_after(work: Callable[[], None]) -> None:
        loop, read = asyncio.get_running_loop(), asyncio.Event()
        sender, receiver = socket.socketpair()

        def look() -> None:
            waited.append(time.monotonic() - selector.unread_since)
            loop.remove_reader(receiver)
            read.set()

        with sender, receiver:
            loop.add_reader(receiver, look)
            await asyncio.sleep(0.1)  # the loop has nothing to do but to look
            sender.send(b"x")
            work()
            await read.wait()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(read_after(lambda: time.sleep(0.5)))
        runner.run(read_after(lambda: None))
    assert waited[0] >= 0.5
    assert waited[1] < 0.4


def test_of_more_than_it_can_answer_a_server_answers_some_fast_and_tells_the_others_to_come_back(
    publisher: Publisher, tmp_path: Path
) -> None:
    clients, seconds = 150, 3.0
    model_id = publisher.publish(draft(1, items=200_000, dim=64))
    with started(config_of(publisher, queue_seconds=0.05), tmp_path) as server:
        server.serves(model_id)
        address = (server.client.base_url.host, server.client.base_url.port or 0)
        calm_end = time.monotonic() + 0.5
        alone = percentile(
            asyncio.run(crowd(address, 1, lambda: time.monotonic() < calm_end, PERSONAL)).seconds(200), 0.5
        )
        began = time.monotonic()
        end, alive = began + seconds, list[tuple[int, float]]()
        watching = threading.Thread(target=_watch, args=(f"http://{address[0]}:{address[1]}/livez", end, alive))
        watching.start()
        found = asyncio.run(crowd(address, clients, lambda: time.monotonic() < end, PERSONAL))
        watching.join()
        refused = server.metric('hearth_turned_away_total{reason="overloaded"}')

    assert found.unanswered == []
    assert {reply.status for reply in found.replies} == {200, 503}
    turned_away = [reply for reply in found.replies if reply.status == 503]
    assert refused == len(turned_away)
    assert all(b"retry-after: 1\r\n" in reply.head for reply in turned_away)
    assert all(b"content-type: application/problem+json\r\n" in reply.head for reply in turned_away)
    # Were all of them answered in turn, each would wait for all others: `clients` times as long as one alone.
    later = sorted(reply.seconds for reply in found.replies if reply.status == 200 and reply.began > began + 1.0)
    assert later
    assert percentile(later, 0.9) < 0.6 * clients * alone, (alone, later[len(later) // 2])
    assert {status for status, _ in alive} == {200}
    assert len(alive) > 2


def _watch(url: str, end: float, found: list[tuple[int, float]]) -> None:
    with httpx.Client(timeout=PATIENCE) as client:
        while time.monotonic() < end:
            began = time.monotonic()
            found.append((client.get(url).status_code, time.monotonic() - began))
            time.sleep(0.05)
