"""What traces say of requests, and what never: from a server in a process of its own to a receiver that reads OTLP."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer

from serving.app import description
from serving.placements.settings import Placement
from serving.tracing.spans import RequestSpan, step
from tests.serving.items_file import put
from tests.serving.published import Publisher, draft
from tests.serving.running import Server, config_of, started, until
from tests.serving.test_ads_http import FILMS, ad
from tests.serving.trace_receiver import PARENT, SENDER, Receiver, attributes, receiving, traceparent

RECOMMEND = "/v1/placements/{placement}:recommend"
GRAPH: dict[str, Any] = {"vertical": "films", "sources": [{"kind": "graph", "share": 0.5}, {"kind": "popular"}]}
PLACEMENTS: dict[str, Any] = {
    "home": {},
    "circle": GRAPH,
    "ads": {"vertical": "ads", "repeats": {"default": "show"}, "ads": {"currency": "EUR"}},
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def traced(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with all that a request can go through, every request of which is recorded."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "bundles").mkdir()
    publisher = Publisher(folder)
    model_id, second = publisher.publish(draft(1)), publisher.publish(draft(2), promote=False)
    publisher.registry.promote(second, "shadow")
    put(folder / "items.sqlite", [*FILMS, ad("ads", "ad-1", "1.5")])
    config = config_of(
        publisher,
        store=folder / "people.sqlite",
        social_graph=folder / "graph.sqlite",
        ad_counters=folder / "ads.sqlite",
        items=folder / "items.sqlite",
        bundles=folder / "bundles",
        placements={name: Placement.model_validate(said) for name, said in PLACEMENTS.items()},
        trial={"compared": 1.0},
        ads_seconds=0.05,
        traces={"url": receiver.url, "send_seconds": 0.02},
    )
    with started(config, folder) as server:
        server.serves(model_id)
        on_trial = f'hearth_model_info{{model_id="{second}",stage="shadow"}}'
        until(lambda: server.metric(on_trial) == 1, server.log)
        until(lambda: server.ask(placement="ads", user_id="anybody")["items"], server.log)
        yield server


def trace_of(receiver: Receiver, response: httpx.Response) -> tuple[Span, list[Span]]:
    return receiver.trace(response.headers["x-request-id"])


def viewed(person: str, item_id: str, **more: str) -> dict[str, str]:
    return {"event_id": f"view-{item_id}", "user_id": person, "item_id": item_id, "event": "view", **more}


def test_a_request_is_one_span_below_its_sender_s_with_a_span_for_each_step(traced: Server, receiver: Receiver) -> None:
    traced.post(viewed("anna", "item-2")).raise_for_status()
    body = {"user_id": "anna", "k": 3}
    path = RECOMMEND.format(placement="home")
    response = traced.client.post(f"{path}?why=anna", json=body, headers=traceparent(SENDER))
    assert response.headers["x-request-id"] == SENDER
    whole, steps = trace_of(receiver, response)
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (SENDER, PARENT)
    assert whole.name == f"POST {RECOMMEND}"
    assert attributes(whole) == {
        "http.request.method": "POST",
        "http.route": RECOMMEND,
        "http.response.status_code": 200,
        "hearth.placement": "home",
        "hearth.model_id": response.json()["model_id"],
        "hearth.privacy_tier": "edge-cell",
    }
    assert whole.status.code == Status.STATUS_CODE_UNSET
    assert [span.name for span in steps] == ["read person", "make list", "compare"]
    for span in steps:
        assert span.parent_span_id == whole.span_id
        assert whole.start_time_unix_nano <= span.start_time_unix_nano < span.end_time_unix_nano
        assert span.end_time_unix_nano <= whole.end_time_unix_nano
    [line] = [line for line in traced.logged("request") if line["request_id"] == SENDER]
    took = (whole.end_time_unix_nano - whole.start_time_unix_nano) / 1e6
    assert took == pytest.approx(line["ms"], abs=500)
    [(path, _)] = {(path, b"") for path, _ in receiver.taken}
    assert path == "/v1/traces"


def test_a_request_that_names_no_trace_begins_one_whose_id_is_in_reply_and_log(
    traced: Server, receiver: Receiver
) -> None:
    responses = [traced.client.get("/livez"), traced.client.get("/livez", headers={"traceparent": "nonsense"})]
    assert len({response.headers["x-request-id"] for response in responses}) == 2
    for response in responses:
        whole, steps = trace_of(receiver, response)
        assert (whole.name, whole.parent_span_id, steps) == ("GET /livez", b"", [])
        named = {line["request_id"] for line in traced.logged("request")}
        assert whole.trace_id.hex() in named


def test_steps_of_events_neighbours_and_auctions_have_spans(traced: Server, receiver: Receiver) -> None:
    _, steps = trace_of(receiver, traced.post(viewed("bob", "item-4")))
    assert [span.name for span in steps] == ["write events", "fold in", "settle ads"]
    _, steps = trace_of(receiver, traced.recommend("circle", user_id="bob"))
    assert {span.name for span in steps} == {"read person", "read neighbours", "make list", "compare"}
    whole, steps = trace_of(receiver, traced.recommend("ads", user_id="bob"))
    by_name = {span.name: span for span in steps}
    assert list(by_name) == ["read person", "auction", "reserve shows", "make list"]
    for name in ("auction", "reserve shows"):
        assert by_name[name].parent_span_id == by_name["make list"].span_id
    assert attributes(whole)["hearth.placement"] == "ads"


def test_each_request_of_a_batch_says_for_itself_how_it_was_answered(traced: Server, receiver: Receiver) -> None:
    requests = [{"k": 1}, {"user_id": "nobody-yet"}, {"k": 0}]
    response = traced.client.post("/v1/placements/home:batch-recommend", json={"requests": requests})
    whole, steps = trace_of(receiver, response)
    assert "hearth.model_id" not in attributes(whole)
    answers = [span for span in steps if span.name == "answer one"]
    model_id = traced.model_id()
    assert [attributes(span) for span in answers] == [
        {"hearth.model_id": model_id, "hearth.privacy_tier": "anonymous"},
        {
            "hearth.model_id": model_id,
            "hearth.privacy_tier": "edge-cell",
            "hearth.degraded": ["popularity-fallback"],
        },
    ]  # the third was refused before it was asked


def test_what_failed_is_said_by_the_name_of_its_type_alone(
    receiver: Receiver, publisher: Publisher, tmp_path: Path
) -> None:
    store = tmp_path / "people.sqlite"
    model_id = publisher.publish(draft(1))
    traces = {"url": receiver.url, "send_seconds": 0.02}
    with started(config_of(publisher, store=store, traces=traces), tmp_path) as server:
        server.serves(model_id)
        for file in tmp_path.glob("people.sqlite*"):
            file.unlink()
        whole, [writing] = trace_of(receiver, server.post(viewed("anna", "item-2")))
        assert (writing.name, attributes(writing)) == ("write events", {"error.type": "StoreUnavailable"})
        assert attributes(whole)["error.type"] == "503"
        for span in (whole, writing):
            assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "")
        whole, steps = trace_of(receiver, server.recommend(user_id="anna"))
        assert attributes(whole)["hearth.degraded"] == ["store-unavailable"]
        assert whole.status.code == Status.STATUS_CODE_UNSET
        assert attributes(steps[0]) == {"error.type": "StoreUnavailable"}


def test_the_text_of_an_exception_is_in_no_span() -> None:
    exported, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    request = RequestSpan(provider.get_tracer("test"), "GET", [])
    with pytest.raises(KeyError), request, step("look"):
        raise KeyError("canary")
    request.end("/v1/items/{item_id}", "", 500)
    spans = exported.get_finished_spans()
    assert [span.name for span in spans] == ["look", "GET /v1/items/{item_id}"]
    for span in spans:
        assert (span.attributes or {})["error.type"] == "KeyError"
        assert (span.events, span.status.description) == ((), None)
        assert "canary" not in span.to_json()


def test_where_the_sdk_is_switched_off_a_request_has_an_id_all_the_same() -> None:
    """OTEL_SDK_DISABLED=true gives a tracer whose spans have none."""
    named = RequestSpan(NoOpTracer(), "GET", [(b"traceparent", f"00-{SENDER}-{PARENT}-01".encode())])
    others = {RequestSpan(NoOpTracer(), "GET", []).request_id for _ in range(2)}
    assert named.request_id == SENDER
    assert len(others) == 2
    assert all(len(identifier) == 32 and int(identifier, 16) for identifier in others)


CANARY = "canary-7f3a"
VECTOR = [0.1875 + number / 8 for number in range(8)]  # exact in 32 bits
MAY_BE_SAID = {
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "hearth.placement",
    "hearth.model_id",
    "hearth.privacy_tier",
    "hearth.degraded",
    "error.type",
}


def canaries(model_id: str) -> list[dict[str, Any]]:
    """Requests to every address there is, each with what belongs to a person wherever something can be sent."""
    event = {"event_id": CANARY, "user_id": CANARY, "item_id": CANARY, "event": "view"}
    bodies: list[Any] = [
        {"user_id": CANARY, "exclude_item_ids": [CANARY], "filters": {CANARY: [CANARY]}},
        {
            "user_id": CANARY,
            "exclude_item_ids": [CANARY],
            "like_item_id": CANARY,
            "session_events": [{"item_id": CANARY}],
        },
        {"query_vector": VECTOR, "checkpoint_id": model_id},
        {"query_vector": VECTOR, "checkpoint_id": CANARY},
        {"requests": [{"user_id": CANARY}, {"query_vector": VECTOR, "checkpoint_id": model_id}, {CANARY: 1}]},
        {"events": [event, {**event, "recommendation_id": CANARY}, {CANARY: CANARY}, CANARY]},
        {"vertical": "films", "items": [{"item_id": CANARY, "title": CANARY}, {CANARY: CANARY}]},
        {"user_id": CANARY},
        {"reason": CANARY},
        {CANARY: CANARY},
        [CANARY],
    ]
    sent = []
    for path, methods in description()["paths"].items():
        for placement in ("home", CANARY):
            place = path.replace("{placement}", placement)
            for name in ("item_id", "checkpoint_id", "model_id", "erasure_id"):
                place = place.replace(f"{{{name}}}", CANARY)
            for method in methods:
                said = bodies if method in {"post", "put"} else [None]
                address = f"{place}?vertical=films&{CANARY}={CANARY}"
                sent += [{"method": method.upper(), "url": address, "json": body} for body in said]
                sent.append({"method": method.upper(), "url": f"{place}?{CANARY}", "content": f'{{"{CANARY}":'})
    sent += [{"method": "GET", "url": f"/{CANARY}/{CANARY}"}, {"method": CANARY.upper(), "url": "/livez"}]
    return sent


def test_nothing_of_what_is_sent_to_any_address_is_in_any_trace(traced: Server, receiver: Receiver) -> None:
    model_id = str(traced.model_id())
    traced.post(viewed(CANARY, "item-8"), viewed(CANARY, CANARY)).raise_for_status()
    headers = {
        "user-agent": CANARY,
        "tracestate": f"vendor={CANARY}",
        "baggage": f"user={CANARY}",
        "x-forwarded-for": CANARY,
    }
    statuses, responses = set(), []
    for request in canaries(model_id):
        kind = {"content-type": "application/json"} if "content" in request else {}
        trace_id = os.urandom(16).hex()
        response = traced.client.request(**request, headers=headers | kind | traceparent(trace_id))
        statuses.add(response.status_code)
        responses.append(response)
    assert {200, 201, 207, 400, 404, 409, 422} <= statuses
    assert max(statuses) < 500
    routes, names, keys = set(), set(), set()
    for response in responses:
        whole, below = trace_of(receiver, response)
        routes.add(attributes(whole).get("http.route"))
        for span in (whole, *below):
            names.add(span.name)
            keys |= set(attributes(span))
            assert (list(span.events), list(span.links), span.trace_state, span.status.message) == ([], [], "", "")
    assert routes >= set(description()["paths"])
    assert keys <= MAY_BE_SAID
    templates = {f"{method} {route}" for method in ("GET", "POST", "PUT", "DELETE") for route in routes - {None}}
    steps = {"read person", "read neighbours", "make list", "compare", "answer one"}
    assert names - templates == steps | {"write events", "fold in", "settle ads", "GET", "HTTP /livez"}
    unknown = [span for span in receiver.spans() if span.name == "HTTP /livez"]
    assert {attributes(span)["http.request.method"] for span in unknown} == {"_OTHER"}
    for number in VECTOR:
        for written in (struct.pack("<d", number), np.float32(number).tobytes(), str(number).encode()):
            assert written not in receiver.raw
    for hidden in (CANARY, CANARY.upper(), "127.0.0.1", str(traced.client.base_url.port), "item-8"):
        assert hidden.encode() not in receiver.raw


def test_the_resource_says_what_runs_and_nothing_else(traced: Server, receiver: Receiver) -> None:
    trace_of(receiver, traced.client.get("/livez"))
    [message, *_] = receiver.messages()
    [resource] = message.resource_spans
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert named["service.name"] == "hearth-serving"
    assert {key.partition(".")[0] for key in named} == {"service", "telemetry"}
