"""Canaries are sent through every operation of the API, errors included; they come out where a page says so alone.

Two servers with all that there is: one keeps people in files, one in a Redis.
"""

import json
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.redis_server import running_redis
from tests.serving.canaries import Canaries
from tests.serving.canary_requests import SENT
from tests.serving.canary_world import World
from tests.serving.trace_receiver import receiving


class Allowed(NamedTuple):
    """One canary that may come out in one place, and why."""

    place: str
    canary: str
    because: str


ALLOWED = [
    Allowed("problem", "field-name", "the name of an unknown field: who mistypes one has to be told which"),
    Allowed("problem", "checkpoint", "given_checkpoint_id: the device learns which of its vectors is out of date"),
    Allowed("kept: items", "catalogue-item", "a catalogue keeps its items as they are: they say nothing of people"),
    Allowed("kept: items", "catalogue-title", "the same"),
    Allowed("kept: registry", "reason", "why a checkpoint was promoted is told for the trail"),
    Allowed("kept: registry", "key-name", "who promoted it, too: the name of the API key"),
    Allowed("stderr", "trace", "the trace id that a caller chooses is the id of the request"),
    Allowed("headers", "trace", "the same"),
    Allowed("traces", "trace", "the same"),
]


@pytest.fixture(scope="module", params=["files", "redis"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("canaries")
    with ExitStack() as running:
        redis = None
        if request.param == "redis":
            (folder / "redis").mkdir()
            redis = running.enter_context(running_redis(folder / "redis", "--appendonly", "yes"))
        world = World(folder, redis, running.enter_context(receiving()))
        world.run()
        yield world


def test_canaries_come_out_where_a_page_says_so_and_nowhere_else(world: World) -> None:
    came_out = {(place, name) for place, content in world.written() for name in world.canaries.found_in(content)}
    assert came_out == {(one.place, one.canary) for one in ALLOWED}


def test_every_operation_has_answered_canaries_well_and_refused_some(world: World) -> None:
    """Else it would be no wonder that nothing comes out."""
    answered: dict[str, set[int]] = {}
    for name, answer in world.answers:
        answered.setdefault(name, set()).add(answer.status_code)
    without_parameters = {"get_liveness", "get_readiness", "get_version"}
    for name in SENT:
        assert {200, 201, 204, 207} & answered[name], name
        assert answered[name] & {400, 401, 403, 404, 409, 422} or name in without_parameters, name
    [held, *_] = [answer.json() for name, answer in world.answers if name == "export_person" and answer.is_success]
    assert world.canaries.text("item") in {event["item_id"] for event in held["events"]["events"]}
    assert [tie["user_id"] for tie in held["social_graph"]["friends"]] == [world.canaries.text("friend")]


@pytest.mark.parametrize(
    "written",
    ["{}", "user={}", '{{"id": "{}"}}', "\x1fshop\x1f{}"],
)
def test_a_canary_is_found_in_whatever_writing(written: str) -> None:
    canaries = Canaries()
    text, number = canaries.text("one"), canaries.number("two")
    canaries.word("three")
    for encoded in (written.format(text).encode(), json.dumps(written.format(text)).encode(), text.upper().encode()):
        assert canaries.found_in(encoded) == {"one"}
    for encoded in (f"[{number}]".encode(), json.dumps([1.0, number]).encode(), struct.pack("<2f", 1.0, number)):
        assert canaries.found_in(encoded) == {"two"}
    assert canaries.found_in(b"nothing of them: 0.1 zq") == set()
