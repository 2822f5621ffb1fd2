"""Canaries are sent through every operation of the API, errors included; they come out where a page says so alone.

Two servers with all that there is: one keeps people in files, one in a Redis.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from feature_store.encryption import own_keys
from feature_store.item_bundle import make_bundle
from feature_store.item_store_sqlite import open_sqlite_items
from feature_store.redis_settings import RedisSettings
from feature_store.social_graph import Tie
from feature_store.social_graph_redis import open_redis_graph
from feature_store.social_graph_sqlite import open_sqlite_graph
from tests.redis_server import RedisServer, running_redis
from tests.serving.access.keyed import KeyFile
from tests.serving.canaries import Canaries, schema_of
from tests.serving.published import Publisher, draft
from tests.serving.running import ROOT, Server, config_of
from tests.serving.test_ads_http import FILMS, ad
from tests.serving.trace_receiver import Receiver, receiving

LARGEST_BODY = 20_000  # bytes


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


class Sent(NamedTuple):
    """One request. parameters: of the path and the query. content: in place of a body of JSON."""

    parameters: Mapping[str, Any] = {}
    body: Any = None
    headers: Mapping[str, str] = {}
    content: bytes | None = None


class World:
    """A server, and all that it has written and answered."""

    def __init__(self, folder: Path, redis: RedisServer | None, receiver: Receiver) -> None:
        self.folder, self.redis, self.receiver = folder, redis, receiver
        self.kept, self.canaries = folder / "kept", Canaries()
        for name in ("given", "kept"):
            (folder / name).mkdir()
        publisher = Publisher(self.kept)
        self.before, self.model_id = (publisher.publish(draft(seed)) for seed in (1, 2))
        publisher.registry.promote(self.before, "shadow")
        bundles = folder / "given" / "bundles"
        bundles.mkdir()
        sealed = make_bundle(publisher.registry.load(self.model_id), {}, publisher.key)
        (bundles / f"{self.model_id}.bundle").write_bytes(sealed.to_bytes())
        keys = KeyFile(folder / "given" / "keys.json")
        every = ("recommend", "ingest", "admin", "metrics")
        self.secret = self.canaries.given("api-key", keys.add(self.canaries.word("key-name"), *every))
        self.other_key = self.canaries.given("other-key", keys.add("reader", "recommend"))
        self.config = config_of(publisher, api_keys=keys.file, bundles=bundles, **self._places())
        asyncio.run(self._fill())
        self.answers: list[tuple[str, httpx.Response]] = []

    def _places(self) -> dict[str, Any]:
        placements = {
            "home": {"vertical": "films", "respects_graph": True, "sources": [{"kind": "personal"}, {"kind": "graph"}],
                     "sponsored": {"placement": "ads", "first": 2, "gap": 3}},
            "ads": {"vertical": "ads", "repeats": {"default": "show"}, "ads": {"currency": "EUR"}},
        }  # fmt: skip
        self.keys = self.folder / "given" / "store.keys"
        own_keys(self.keys)
        people: dict[str, Any] = {
            "store": self.kept / "people.sqlite",
            "social_graph": self.kept / "graph.sqlite",
            "ad_counters": self.kept / "ads.sqlite",
        }
        if self.redis is not None:
            people = {"redis": RedisSettings(url=self.redis.url, retries=0)}
        return {
            **people,
            "store_keys": self.keys,
            "items": self.kept / "items.sqlite",
            "placements": placements,
            "experiments": {"colours": {"placement": "home", "arms": {"red": {"share": 0.5}}}},
            "trial": {"share": 0.5, "compared": 1.0},
            "traces": {"url": self.receiver.url, "send_seconds": 0.05},
            "max_body_bytes": LARGEST_BODY,
        }

    async def _fill(self) -> None:
        """Ads that are capped and targeted, films, and a friend."""
        async with open_sqlite_items(self.kept / "items.sqlite") as items:
            await items.upsert([*FILMS])
            await items.upsert([ad("ads", f"item-{n}", "1", frequency_cap=5, frequency_hours=1.0) for n in range(3)])
        tie = Tie("friend", self.canaries.text("user"), self.canaries.text("friend"))
        keys = own_keys(self.keys)
        if self.redis is not None:
            async with open_redis_graph(RedisSettings(url=self.redis.url), keys) as graph:
                await graph.add([tie])
        else:
            async with open_sqlite_graph(self.kept / "graph.sqlite", keys, 1.0) as graph:
                await graph.add([tie])

    def run(self) -> None:
        """Start the server, send everything, and let it stop."""
        given = self.folder / "given" / "serving.json"
        given.write_text(self.config.model_dump_json())
        with (
            (self.folder / "stdout").open("wb") as stdout,
            (self.folder / "stderr").open("wb") as stderr,
            subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "serving", str(given)], cwd=ROOT, stdout=stdout, stderr=stderr
            ) as process,
        ):
            try:
                self.server = Server(process, self.folder / "stderr")
                with self.server.client:
                    self.server.serves(self.model_id)
                    self.send_all()
                    self.metrics = self.get("/metrics").content
                    self.while_it_ran = self.files()
                    if self.redis is not None:
                        self.redis.kill()
                        self.send_all(whole=False)  # what fails now is logged, too
                    assert self.server.stop() == 0
            finally:
                process.kill()

    def get(self, path: str) -> httpx.Response:
        return self.server.client.get(path, headers={"authorization": f"Bearer {self.secret}"})

    def send_all(self, *, whole: bool = True) -> None:
        """Everything; or else what a server takes when all is well, and nothing malformed."""
        document = self.get("/openapi.json").json()
        for path, operations in document["paths"].items():
            for method, said in operations.items():
                if said["operationId"] not in SENT:
                    pytest.fail(f"no canary is sent to {said['operationId']}; let SENT say what one would be")
                broken = malformed(said, document, self.canaries) if whole else ()
                for sent in (*SENT[said["operationId"]](self), *broken):
                    self._send(said["operationId"], method.upper(), path, said, sent)
        for method, path in (("DELETE", "/v1/events"), ("GET", f"/{self.canaries.word('unknown-path')}")):
            headers = {"authorization": f"Bearer {self.secret}"}
            query = {self.canaries.word("query-name"): self.canaries.text("query")}
            self.answers.append(("none", self.server.client.request(method, path, params=query, headers=headers)))
        self._send_no_http()

    def _send(self, name: str, method: str, path: str, said: Mapping[str, Any], sent: Sent) -> None:
        known = {one["name"]: one["in"] for one in said.get("parameters", ())}
        address, query = path, {}
        for parameter, value in sent.parameters.items():
            if known.get(parameter) == "path":
                address = address.replace(f"{{{parameter}}}", httpx.URL("", path=str(value)).raw_path.decode())
            else:
                query[parameter] = value
        content = json.dumps(sent.body).encode() if sent.content is None and sent.body is not None else sent.content
        headers = {"authorization": f"Bearer {self.secret}"}
        if content is not None:
            headers["content-type"] = "application/json"
        request = self.server.client.build_request(
            method, address, params=query, content=content, headers={**headers, **sent.headers}
        )
        self.answers.append((name, self.server.client.send(request)))

    def _send_no_http(self) -> None:
        url = self.server.client.base_url
        word = self.canaries.word("no-http")
        for line in (f"GET /{word}", f"{word} / HTTP/1.1\r\nx-note {word}", f"GET /{word} HTTP/9.9"):
            with socket.create_connection((url.host, url.port or 80)) as connection, connection.makefile("rb") as got:
                connection.sendall(f"{line}\r\n\r\n".encode())
                self.answers.append(("none", httpx.Response(400, content=got.read())))

    def files(self) -> list[tuple[str, bytes]]:
        """What is kept, each file with the place that it belongs to."""
        found = [(path, f"kept: {path.relative_to(self.kept).parts[0].split('.')[0]}") for path in self.kept.rglob("*")]
        if self.redis is not None:
            with self.redis.client() as redis:
                redis.save()
            found += [(path, "kept: redis") for path in self.redis.folder.rglob("*")]
        return [(place, path.read_bytes()) for path, place in found if path.is_file()]

    def written(self) -> Iterator[tuple[str, bytes]]:
        """All that came out, with its place; of replies that are no errors, the heads."""
        yield "stdout", (self.folder / "stdout").read_bytes()
        yield "stderr", (self.folder / "stderr").read_bytes()
        yield "metrics", self.metrics
        yield "traces", self.receiver.raw
        yield (
            "headers",
            b"\n".join({name + b": " + value for _, one in self.answers for name, value in one.headers.raw}),
        )
        yield "problem", b"\n".join({one.content for _, one in self.answers if one.status_code >= 400})
        yield from self.while_it_ran
        if self.redis is None:
            yield from self.files()  # once more: what was in memory has been written by now


def _vector(world: World) -> list[float]:
    return [world.canaries.number("vector"), *[0.1] * 7]


def _recommended(world: World) -> list[Any]:
    """Bodies of requests for a list: good ones first, of each tier, then some that are refused for what they say."""
    text = world.canaries.text
    vector = {"query_vector": _vector(world), "checkpoint_id": world.model_id}
    return [
        {"user_id": text("user"), "exclude_item_ids": [text("excluded")], "like_item_id": text("liked"),
         "explain": True, "attributes": {text("attribute"): text("attribute-value")}},
        {"user_id": text("user"), "filters": {}, "experiments": {"colours": text("arm"), text("experiment"): "red"}},
        {"session_events": [{"item_id": text("session-item"), "event": text("session-event")}, {"item_id": "item-2"}],
         "context": {"hour": 7, "device": text("device")}, "explain": True},
        {**vector, "noise": {"mechanism": "privunit-g", "epsilon": 1.0 + world.canaries.number("epsilon")}},
        {**vector, "query_vector": [*_vector(world), 1.0]},
        {**vector, "checkpoint_id": text("checkpoint")},
        {**vector, "user_id": text("user")},
        {"model_id": text("model")},
        {"filters": {text("field-name"): [text("filter-value")]}},
        {"filters": {"categories": [text("filter-value")], "price": {"min": world.canaries.number("least")}}},
        {"context": {"device": text("device"), "hour": 99}},
    ]  # fmt: skip


def _events(world: World) -> list[Any]:
    text = world.canaries.text
    seen = {"event_id": text("event-id"), "user_id": text("user"), "item_id": text("item"), "event": text("event")}
    first = next(
        (
            answer.json()["recommendation_id"]
            for name, answer in world.answers
            if name == "recommend" and answer.is_success
        ),
        "0" * 32,
    )
    return [
        {"events": [seen, {**seen, "event_id": "2", "item_id": "item-4", "value": world.canaries.number("value")}]},
        {"events": [{**seen, "event_id": "3", "item_id": "item-1", "event": "click", "recommendation_id": first}]},
        {"events": [{**seen, "event_id": "4", "user_id": text("friend"), "item_id": "item-8"}]},
        {"events": [{**seen, "event_id": "5", "user_id": text("erased"), "item_id": "item-8"}]},
        {
            "events": [
                {**seen, text("field-name"): text("field-value")},
                {**seen, "value": text("no-number")},
                text("no"),
            ]
        },
    ]


def _of_item(world: World, **more: Any) -> list[Sent]:
    parameters = {"item_id": world.canaries.text("catalogue-item"), "vertical": "films"}
    wrong = [
        Sent({**parameters, "item_id": world.canaries.text("other-item")}),
        Sent({**parameters, "vertical": world.canaries.text("vertical")}),
    ]
    good = Sent(parameters, **more)
    return [good, *(one._replace(**({"body": {"numbers": "x"}} if more else {})) for one in wrong)]


def _person(world: World) -> list[Sent]:
    return [
        Sent(body={"user_id": world.canaries.text("user")}),
        Sent(body={"user_id": world.canaries.text("stranger")}),
    ]


def _stage(world: World, model_id: str) -> list[Sent]:
    return [
        Sent({"model_id": model_id}, {"reason": world.canaries.text("reason")}),
        Sent({"model_id": world.canaries.text("model")}, {"reason": world.canaries.text("other-reason")}),
        Sent({"model_id": model_id}, {"reason": world.canaries.text("long-reason") * 100}),
    ]


def _open(world: World) -> list[Sent]:
    """Of what takes nothing: a query and headers that it has no use for."""
    return [Sent({world.canaries.word("query-name"): world.canaries.text("query")})]


def _items(world: World) -> dict[str, Any]:
    fields = {"item_id": world.canaries.text("catalogue-item"), "title": world.canaries.text("catalogue-title")}
    return {"vertical": "films", "items": [fields, {"item_id": world.canaries.text("bad-item"), "numbers": "x"}]}


SENT: Mapping[str, Callable[[World], list[Sent]]] = {
    "recommend": lambda world: [
        *(Sent({"placement": name}, body) for body in _recommended(world) for name in ("home", "ads")),
        Sent({"placement": world.canaries.text("placement")}, {}),
    ],
    "batch_recommend": lambda world: [
        Sent({"placement": "home"}, {"requests": [*_recommended(world), world.canaries.text("no")]}),
        Sent({"placement": world.canaries.text("placement")}, {"requests": _recommended(world)}),
    ],
    "send_events": lambda world: [Sent(body=body) for body in _events(world)],
    "import_items": lambda world: [Sent(body=_items(world))],
    "list_items": lambda world: [
        Sent({"vertical": "films"}),
        Sent({"vertical": "films", "cursor": world.canaries.text("cursor")}),
        Sent({"vertical": world.canaries.text("vertical"), "limit": world.canaries.text("limit")}),
    ],
    "put_item": lambda world: _of_item(world, body={"title": world.canaries.text("catalogue-title")}),
    "get_item": _of_item,
    "delete_item": lambda world: [
        Sent({"item_id": "item-59", "vertical": "films"}),
        Sent({"item_id": world.canaries.text("other-item"), "vertical": "films"}),
    ],
    "get_item_bundle": lambda world: [
        Sent({"checkpoint_id": "current", "since": world.canaries.text("since")}),
        Sent({"checkpoint_id": world.canaries.text("bundle")}, headers={"if-none-match": '"x"'}),
        Sent({"checkpoint_id": "current"}, headers={"range": f"{world.canaries.word('range')}=1"}),
    ],
    "export_person": _person,
    "erase_person": lambda world: [Sent(body={"user_id": world.canaries.text("erased")})],
    "get_erasure": lambda world: [
        *(
            Sent({"erasure_id": answer.json()["erasure_id"]})
            for name, answer in world.answers
            if name == "erase_person" and answer.status_code == 201
        ),
        Sent({"erasure_id": world.canaries.text("erasure")}),
    ],
    "list_models": _open,
    "get_model_readiness": lambda world: [Sent({"model_id": world.canaries.text("model")})],
    "promote_model": lambda world: _stage(world, world.model_id),
    "shadow_model": lambda world: _stage(world, world.before),
    "roll_back_model": lambda world: _stage(world, world.model_id),
    "get_liveness": _open,
    "get_readiness": _open,
    "get_metrics": _open,
    "get_version": _open,
}


def malformed(said: Mapping[str, Any], document: Mapping[str, Any], canaries: Canaries) -> Iterator[Sent]:
    """What is wrong with any operation's request: its key, its headers, its parameters, and its body in every field."""
    text, word = canaries.text, canaries.word
    wanted = {one["name"]: "films" for one in said.get("parameters", ()) if one["in"] in {"path", "query"}}
    wanted.pop("cursor", None)
    wanted.pop("limit", None)
    for value in (f"Bearer {word('wrong-key')}", f"Basic {word('password')}", word("scheme")):
        yield Sent(wanted, headers={"authorization": value})
    trace = f"00-{canaries.hexadecimal('trace')}-{canaries.hexadecimal('span')[:16]}-01"
    names = ("x-note", "cookie", "user-agent", "referer", "traceparent", "tracestate", "baggage", "idempotency-key")
    yield Sent(wanted, headers={**{name: word(f"header-{name}") for name in names}, word("header-name"): "x"})
    yield Sent({**wanted, word("query-name"): text("query")}, headers={"traceparent": trace})
    for name in wanted:
        yield Sent({**wanted, name: text(f"parameter-{name}")})
        yield Sent({**wanted, name: f"{text(f'long-{name}')}{'x' * 300}"})
        yield Sent({**wanted, name: f"{word(f'path-{name}')}/../{word(f'path-{name}')}"})
    if "requestBody" not in said:
        return
    quoted = json.dumps(text("broken")).encode()
    for content in (
        b'{"user_id": ' + quoted, quoted, b"[" + quoted + b"]", b"[" * 2000 + quoted + b"]" * 2000,
        b'{"user_id": "\xff' + word("latin").encode() + b'"}', b'{"k": 1' + b"0" * 5000 + b"}",
        b'{"user_id": ' + quoted + b', "x": "' + b"x" * LARGEST_BODY + b'"}',
        b'{"\\ud800": ' + quoted + b"}", b"",
    ):  # fmt: skip
        yield Sent(wanted, content=content)
    yield Sent(wanted, content=quoted, headers={"content-type": f"text/{word('media-type')}"})
    long_name = word("long-field-name") + "x" * 100
    schema = schema_of(said["requestBody"]["content"]["application/json"]["schema"], document)
    properties = schema.get("properties", {})
    assert isinstance(properties, dict)
    for name in (*properties, text("field-name"), long_name):
        for value in (
            text("of-field"),
            [text("of-field")],
            {text("field-name"): text("of-field")},
            canaries.number("field"),
        ):
            yield Sent(wanted, {name: value})


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
    assert (held["social_graph"]["ties"] if "ties" in held["social_graph"] else held["social_graph"]) != []


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
