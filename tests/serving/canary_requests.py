"""What is sent with canaries in it: to each operation of the API, good and refused, and malformed in every field."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import httpx

from tests.serving.canaries import Canaries, schema_of

LARGEST_BODY = 20_000  # bytes


class Sent(NamedTuple):
    """One request. parameters: of the path and the query. content: in place of a body of JSON."""

    parameters: Mapping[str, Any] = {}
    body: Any = None
    headers: Mapping[str, str] = {}
    content: bytes | None = None


class Known(NamedTuple):
    """What requests are made of.

    model_id, before: the checkpoint that answers, and the one on trial.
    answers: those so far, with the name of the operation.
    """

    canaries: Canaries
    model_id: str
    before: str
    answers: Sequence[tuple[str, httpx.Response]]


def _vector(known: Known) -> list[float]:
    return [known.canaries.number("vector"), *[0.1] * 7]


def _recommended(known: Known) -> list[Any]:
    """Bodies of requests for a list: good ones first, of each tier, then some that are refused for what they say."""
    text = known.canaries.text
    vector = {"query_vector": _vector(known), "checkpoint_id": known.model_id}
    return [
        {"user_id": text("user"), "exclude_item_ids": [text("excluded")], "like_item_id": text("liked"),
         "explain": True, "attributes": {text("attribute"): text("attribute-value")}},
        {"user_id": text("user"), "filters": {}, "experiments": {"colours": text("arm"), text("experiment"): "red"}},
        {"session_events": [{"item_id": text("session-item"), "event": text("session-event")}, {"item_id": "item-2"}],
         "context": {"hour": 7, "device": text("device")}, "explain": True},
        {**vector, "noise": {"mechanism": "privunit-g", "epsilon": 1.0 + known.canaries.number("epsilon")}},
        {**vector, "query_vector": [*_vector(known), 1.0]},
        {**vector, "checkpoint_id": text("checkpoint")},
        {**vector, "user_id": text("user")},
        {"model_id": text("model")},
        {"filters": {text("field-name"): [text("filter-value")]}},
        {"filters": {"categories": [text("filter-value")], "price": {"min": known.canaries.number("least")}}},
        {"context": {"device": text("device"), "hour": 99}},
    ]  # fmt: skip


def _events(known: Known) -> list[Any]:
    text = known.canaries.text
    seen = {"event_id": text("event-id"), "user_id": text("user"), "item_id": text("item"), "event": text("event")}
    first = next(
        (
            answer.json()["recommendation_id"]
            for name, answer in known.answers
            if name == "recommend" and answer.is_success
        ),
        "0" * 32,
    )
    return [
        {"events": [seen, {**seen, "event_id": "2", "item_id": "item-4", "value": known.canaries.number("value")}]},
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


def _of_item(known: Known, **more: Any) -> list[Sent]:
    parameters = {"item_id": known.canaries.text("catalogue-item"), "vertical": "films"}
    wrong = [
        Sent({**parameters, "item_id": known.canaries.text("other-item")}),
        Sent({**parameters, "vertical": known.canaries.text("vertical")}),
    ]
    good = Sent(parameters, **more)
    return [good, *(one._replace(**({"body": {"numbers": "x"}} if more else {})) for one in wrong)]


def _person(known: Known) -> list[Sent]:
    return [
        Sent(body={"user_id": known.canaries.text("user")}),
        Sent(body={"user_id": known.canaries.text("stranger")}),
    ]


def _stage(known: Known, model_id: str) -> list[Sent]:
    return [
        Sent({"model_id": model_id}, {"reason": known.canaries.text("reason")}),
        Sent({"model_id": known.canaries.text("model")}, {"reason": known.canaries.text("other-reason")}),
        Sent({"model_id": model_id}, {"reason": known.canaries.text("long-reason") * 100}),
    ]


def _open(known: Known) -> list[Sent]:
    """Of what takes nothing: a query and headers that it has no use for."""
    return [Sent({known.canaries.word("query-name"): known.canaries.text("query")})]


def _items(known: Known) -> dict[str, Any]:
    fields = {"item_id": known.canaries.text("catalogue-item"), "title": known.canaries.text("catalogue-title")}
    return {"vertical": "films", "items": [fields, {"item_id": known.canaries.text("bad-item"), "numbers": "x"}]}


SENT: Mapping[str, Callable[[Known], list[Sent]]] = {
    "recommend": lambda known: [
        *(Sent({"placement": name}, body) for body in _recommended(known) for name in ("home", "ads")),
        Sent({"placement": known.canaries.text("placement")}, {}),
    ],
    "batch_recommend": lambda known: [
        Sent({"placement": "home"}, {"requests": [*_recommended(known), known.canaries.text("no")]}),
        Sent({"placement": known.canaries.text("placement")}, {"requests": _recommended(known)}),
    ],
    "send_events": lambda known: [Sent(body=body) for body in _events(known)],
    "import_items": lambda known: [Sent(body=_items(known))],
    "list_items": lambda known: [
        Sent({"vertical": "films"}),
        Sent({"vertical": "films", "cursor": known.canaries.text("cursor")}),
        Sent({"vertical": known.canaries.text("vertical"), "limit": known.canaries.text("limit")}),
    ],
    "put_item": lambda known: _of_item(known, body={"title": known.canaries.text("catalogue-title")}),
    "get_item": _of_item,
    "delete_item": lambda known: [
        Sent({"item_id": "item-59", "vertical": "films"}),
        Sent({"item_id": known.canaries.text("other-item"), "vertical": "films"}),
    ],
    "get_item_bundle": lambda known: [
        Sent({"checkpoint_id": "current", "since": known.canaries.text("since")}),
        Sent({"checkpoint_id": known.canaries.text("bundle")}, headers={"if-none-match": '"x"'}),
        Sent({"checkpoint_id": "current"}, headers={"range": f"{known.canaries.word('range')}=1"}),
    ],
    "export_person": _person,
    "erase_person": lambda known: [Sent(body={"user_id": known.canaries.text("erased")})],
    "get_erasure": lambda known: [
        *(
            Sent({"erasure_id": answer.json()["erasure_id"]})
            for name, answer in known.answers
            if name == "erase_person" and answer.status_code == 201
        ),
        Sent({"erasure_id": known.canaries.text("erasure")}),
    ],
    "list_models": _open,
    "get_model_readiness": lambda known: [Sent({"model_id": known.canaries.text("model")})],
    "promote_model": lambda known: _stage(known, known.model_id),
    "shadow_model": lambda known: _stage(known, known.before),
    "roll_back_model": lambda known: _stage(known, known.model_id),
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
    nested = {text("field-name"): [text("of-field"), canaries.number("field")]}
    for name in (*properties, text("field-name"), long_name):
        yield Sent(wanted, {name: text("of-field")})
        yield Sent(wanted, {name: nested})
