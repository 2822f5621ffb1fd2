"""Examples of requests, one of each operation, for the description of the API; a test sends each to a server.

Ids that a server or a registry makes (of a checkpoint, of an erasure) are of another server: put one of yours there.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

_MODEL = {"model_id": "r0035-ae5446ec1ae7"}
_VERTICAL = {"vertical": "e-commerce"}
_LAMP = {"item_id": "lamp-1", "vertical": "e-commerce"}
_REASON = {"reason": "better on the validation items"}


class Example(NamedTuple):
    """parameters: of the path and the query, by name. body: as JSON has it; None where there is none."""

    parameters: Mapping[str, Any] = MappingProxyType({})
    body: Mapping[str, Any] | None = None


EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {
        "recommend": Example({"placement": "home"}, {"user_id": "anna", "k": 5}),
        "batch_recommend": Example(
            {"placement": "home"},
            {"requests": [{"user_id": "anna"}, {"session_events": [{"item_id": "lamp-1", "event": "view"}], "k": 3}]},
        ),
        "send_events": Example(
            body={"events": [{"event_id": "1", "user_id": "anna", "item_id": "lamp-1", "event": "view"}]}
        ),
        "import_items": Example(
            body={
                "vertical": "e-commerce",
                "items": [{"item_id": "lamp-1", "title": "Lamp", "price": "19.90", "currency": "EUR", "stock": 3}],
            }
        ),
        "list_items": Example({**_VERTICAL, "limit": 100}),
        "put_item": Example(_LAMP, {"title": "Lamp", "price": "19.90", "currency": "EUR", "stock": 3}),
        "get_item": Example(_LAMP),
        "delete_item": Example(_LAMP),
        "get_item_bundle": Example({"checkpoint_id": "current"}),
        "export_person": Example(body={"user_id": "anna"}),
        "erase_person": Example(body={"user_id": "anna"}),
        "get_erasure": Example({"erasure_id": "96f908cb25152c0c64272cd5d2300ae5"}),
        "list_models": Example(),
        "get_model_readiness": Example(_MODEL),
        "promote_model": Example(_MODEL, _REASON),
        "shadow_model": Example(_MODEL, _REASON),
        "roll_back_model": Example(_MODEL, {"reason": "fewer clicks than before"}),
        "get_liveness": Example(),
        "get_readiness": Example(),
        "get_metrics": Example(),
        "get_version": Example(),
    }
)
