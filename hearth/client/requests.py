"""What is sent for each method of a client, and what is made of the answers. Nothing here knows who waits, or how."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar

import httpx
from pydantic import JsonValue, TypeAdapter

from feature_store.item_schemas import StoredItem
from hearth.client.attempts import Call, Exchange, problem_in
from hearth.client.bodies import content_of, in_address, parsed
from hearth.client.bundle import Bundle, bundle_in
from hearth.client.errors import Problem
from hearth.client.splitting import in_parts
from serving.replies import Erasure, Item, ItemsPage, ModelReady, ModelsReply, PersonExport, Readiness, StagesReply
from serving.schemas import (
    BatchBody,
    BatchReply,
    EventsBody,
    EventsReply,
    ImportBody,
    ImportReply,
    PersonBody,
    ReasonBody,
    RecommendBody,
    RecommendReply,
    Version,
)

# As many as a server takes where it is not told otherwise (`serving.config`); it may take fewer.
MOST_REQUESTS, MOST_EVENTS, MOST_ITEMS = 100, 1000, 1000

Reply = TypeVar("Reply")
_ITEM: TypeAdapter[Item] = TypeAdapter(Item)


class Asked(TypedDict, total=False):
    """Who asks, and for what: the fields of a request, as docs/http-api.md has them."""

    k: int
    user_id: str
    session_events: Sequence[Mapping[str, str]]
    query_vector: Sequence[float]
    checkpoint_id: str
    noise: Mapping[str, Any]
    exclude_item_ids: Sequence[str]
    filters: Mapping[str, Any]
    like_item_id: str
    diversity: float
    explain: bool
    context: Mapping[str, Any]
    attributes: Mapping[str, str]
    model_id: str
    experiments: Mapping[str, str]


def recommend(placement: str, asked: Asked) -> Exchange[RecommendReply]:
    """One ranked list."""
    path = f"/v1/placements/{in_address('a placement', placement)}:recommend"
    return _asked(Call("POST", path, content_of(RecommendBody, dict(asked))), RecommendReply)


def batch_recommend(placement: str, requests: Sequence[Asked]) -> Exchange[BatchReply]:
    """Several ranked lists of one placement."""
    path = f"/v1/placements/{in_address('a placement', placement)}:batch-recommend"

    def call(part: Sequence[Asked]) -> Call:
        return Call("POST", path, content_of(BatchBody, {"requests": part}))

    found = yield from in_parts(requests, MOST_REQUESTS, "requests", call, lambda got: parsed(got, BatchReply).replies)
    return BatchReply(replies=found)


def send(events: Sequence[Mapping[str, Any]]) -> Exchange[EventsReply]:
    """What people did."""

    def call(part: Sequence[Mapping[str, Any]]) -> Call:
        return Call("POST", "/v1/events", content_of(EventsBody, {"events": part}))

    found = yield from in_parts(events, MOST_EVENTS, "events", call, lambda got: parsed(got, EventsReply).events)
    return EventsReply(events=found)


def import_items(vertical: str, items: Sequence[Mapping[str, Any] | StoredItem]) -> Exchange[ImportReply]:
    """Many items of one vertical."""

    def call(part: Sequence[Mapping[str, Any] | StoredItem]) -> Call:
        return Call("POST", "/v1/items:import", content_of(ImportBody, {"vertical": vertical, "items": part}))

    found = yield from in_parts(items, MOST_ITEMS, "items", call, lambda got: parsed(got, ImportReply).items)
    return ImportReply(items=found)


def list_items(vertical: str, cursor: str | None, limit: int) -> Exchange[ItemsPage]:
    """A page of a catalogue."""
    query = {"vertical": vertical, "limit": f"{limit}"} | ({} if cursor is None else {"cursor": cursor})
    return _asked(Call("GET", "/v1/items", query=query), ItemsPage)


def put_item(vertical: str, item_id: str, fields: Mapping[str, Any] | StoredItem) -> Exchange[Item]:
    """One item, new or in place of the one of that id."""
    return _asked(_of_item("PUT", vertical, item_id, content_of(dict[str, JsonValue], fields)), _ITEM)


def get_item(vertical: str, item_id: str) -> Exchange[Item]:
    """One item, as the catalogue has it."""
    return _asked(_of_item("GET", vertical, item_id), _ITEM)


def delete_item(vertical: str, item_id: str) -> Exchange[bool]:
    """Take one item out; whether it was there when the server answered."""
    response = yield _of_item("DELETE", vertical, item_id)
    failure = None if response.is_success else problem_in(response)
    if isinstance(failure, Problem) and failure.body.type == "/problems/unknown-item":
        return False
    if failure is not None:
        raise failure
    return True


def export(user_id: str) -> Exchange[PersonExport]:
    """All that is held of a person."""
    return _asked(Call("POST", "/v1/privacy/exports", content_of(PersonBody, {"user_id": user_id})), PersonExport)


def erase(user_id: str) -> Exchange[Erasure]:
    """Remove all that is held of a person."""
    return _asked(Call("POST", "/v1/privacy/erasures", content_of(PersonBody, {"user_id": user_id})), Erasure)


def erasure(erasure_id: str) -> Exchange[Erasure]:
    """The receipt, as far as the erasure has come."""
    return _asked(Call("GET", f"/v1/privacy/erasures/{in_address('an erasure', erasure_id)}"), Erasure)


def models() -> Exchange[ModelsReply]:
    """The checkpoints of the registry."""
    return _asked(Call("GET", "/v1/models"), ModelsReply)


def model_ready(model_id: str) -> Exchange[ModelReady]:
    """Whether the server that answers has that checkpoint in memory."""
    return _asked(Call("GET", f"/v1/models/{in_address('a model', model_id)}/ready"), ModelReady)


def change_stage(verb: Literal["promote", "shadow", "roll-back"], model_id: str, reason: str) -> Exchange[StagesReply]:
    """Promote a checkpoint, put it on trial, or roll back from it.

    Promoted twice, it is promoted. A roll-back is refused the second time, as its checkpoint has left production by
    then, so that one whose reply was lost is not repeated: who asks would be told that it had failed.
    """
    path = f"/v1/models/{in_address('a model', model_id)}:{verb}"
    content = content_of(ReasonBody, {"reason": reason})
    return _asked(Call("POST", path, content, may_repeat=verb != "roll-back"), StagesReply)


def bundle(checkpoint_id: str, have: Bundle | None) -> Exchange[Bundle]:
    """The item bundle of a checkpoint, or what changed since the one at hand; that one itself where nothing did."""
    path = f"/v1/item-bundles/{in_address('a checkpoint', checkpoint_id)}"
    if have is None:
        return bundle_in(_succeeded((yield Call("GET", path))))
    if have.kind == "changes":  # its etag is that of the changes, which led to what the server may have whole
        head = _succeeded((yield Call("HEAD", path)))
        if head.headers.get("x-checkpoint-id") == have.checkpoint_id:
            return have
    query, headers = {"since": have.checkpoint_id}, {"if-none-match": have.etag}
    response = yield Call("GET", path, query=query, headers=headers)
    return have if response.status_code == 304 else bundle_in(_succeeded(response))


def version() -> Exchange[Version]:
    """What runs there."""
    return _asked(Call("GET", "/version"), Version)


def ready() -> Exchange[Readiness]:
    """Whether recommendations are answered, asked once."""
    return _asked(Call("GET", "/readyz", answers=frozenset({503})), Readiness)


def _asked(call: Call, kind: type[Reply] | TypeAdapter[Reply]) -> Exchange[Reply]:
    return parsed((yield call), kind)


def _of_item(method: str, vertical: str, item_id: str, content: str | None = None) -> Call:
    return Call(method, f"/v1/items/{in_address('an item', item_id)}", content, query={"vertical": vertical})


def _succeeded(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise problem_in(response)
    return response
