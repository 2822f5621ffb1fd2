"""`/v1/items`: the catalogues that placements show, read and written item by item or in bulk.

What is written is in every server's next replies within `catalogue_seconds`. Items say nothing of people.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from fastapi import Depends, FastAPI, Path, Query
from pydantic import JsonValue, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from feature_store.errors import StoreUnavailable, UnreadableItem
from feature_store.events import LONGEST_ID
from feature_store.item_fields import VERTICAL_NAME
from feature_store.item_schemas import TYPES, StoredItem, item_to_bytes, type_of
from feature_store.item_store import START, ItemStore, Mark
from serving.assortment.reading import read_items
from serving.body_faults import faults_of
from serving.errors import Fault, NoCatalogue, RequestRefused, UnknownCatalogueItem
from serving.openapi import instead
from serving.problems import refused
from serving.replies import Item, ItemsPage
from serving.routes.parts import Parts, json_reply, takes_json
from serving.schemas import ImportBody, ImportOutcome, ImportReply

_MOST_LISTED = 1000
_MOST_FIELDS = 200  # of one item, as it is sent

ItemId = Annotated[str, Path(description="as events and replies name it")]
Vertical = Annotated[str, Query(pattern=f"^{VERTICAL_NAME.pattern}$", description="whose catalogue")]


def add_items(app: FastAPI, parts: Parts) -> None:
    """`PUT`, `GET`, `DELETE /v1/items/{item_id}`, `GET /v1/items`, `POST /v1/items:import`."""
    _add_many(app, parts)
    _add_one(app, parts)


def _add_many(app: FastAPI, parts: Parts) -> None:
    @app.post(
        "/v1/items:import",
        operation_id="import_items",
        status_code=207,
        dependencies=[Depends(takes_json)],
        responses={207: {"model": ImportReply}, **instead(NoCatalogue, StoreUnavailable)},
        summary="Put many items of one vertical; bad ones do not keep the others out",
    )
    async def import_items(body: ImportBody) -> Response:
        """Each item is new, or takes the place of the one of its id. Sent again, it changes nothing."""
        store = _catalogues(parts)
        if len(body.items) > parts.config.max_items:
            raise RequestRefused([Fault("#/items", f"a batch has at most {parts.config.max_items} items")])
        good: dict[int, StoredItem] = {}
        bad: dict[int, list[Fault]] = {}
        for index, values in enumerate(body.items):
            try:
                good[index] = item_of_json(values, body.vertical, f"#/items/{index}")
            except RequestRefused as error:
                bad[index] = list(error.faults)
        if good:
            await store.upsert(list(good.values()))
        outcomes = [
            ImportOutcome(index=index, status=422, problem=refused(bad[index]).body())
            if index in bad
            else ImportOutcome(index=index, status=200)
            for index in range(len(body.items))
        ]
        return json_reply(ImportReply(items=outcomes), 207)

    @app.get(
        "/v1/items",
        operation_id="list_items",
        responses={200: {"model": ItemsPage}, **instead(NoCatalogue, StoreUnavailable)},
        summary="The items of a vertical, those that changed longest ago first",
    )
    async def list_items(
        vertical: Vertical,
        cursor: Annotated[str | None, Query(max_length=100, description="next_cursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_LISTED, description="items of a page, at most")] = 100,
    ) -> Response:
        """A page of a catalogue; `next_cursor` says where the next one begins. What changes meanwhile comes later.

        What cannot be read is left out, and named in `unreadable_item_ids`: put or delete it.
        """
        store = _catalogues(parts)
        changes = await store.changes_since(vertical, START if cursor is None else _mark(cursor), limit)
        there, unreadable = await read_items(store, vertical, changes.changed)
        page: dict[str, object] = {"items": [_shown(item) for item in there]}
        if unreadable:
            page["unreadable_item_ids"] = unreadable
        if changes.more:
            page["next_cursor"] = _cursor(changes.mark)
        return JSONResponse(page)


def _add_one(app: FastAPI, parts: Parts) -> None:
    @app.put(
        "/v1/items/{item_id:path}",  # addresses of articles are ids, too
        operation_id="put_item",
        dependencies=[Depends(_in_utf_8), Depends(takes_json)],
        responses={
            200: {"model": Item, "description": "It has taken another's place"},
            201: {"model": Item, "description": "It is new"},
            **instead(NoCatalogue, StoreUnavailable),
        },
        summary="Put one item, new or in place of it",
    )
    async def put_item(item_id: ItemId, vertical: Vertical, body: dict[str, JsonValue]) -> Response:
        """The body has the fields of an item, which depend on its vertical; id and vertical may be left out there."""
        store = _catalogues(parts)
        item = item_of_json({**body, "item_id": item_id}, vertical, "#")
        try:
            was_there = (await store.get_many(vertical, [item_id]))[0] is not None
        except UnreadableItem:  # it is mended by putting it
            was_there = True
        await store.upsert([item])
        return JSONResponse(_shown(item), 200 if was_there else 201)

    @app.get(
        "/v1/items/{item_id:path}",  # addresses of articles are ids, too
        operation_id="get_item",
        dependencies=[Depends(_in_utf_8)],
        responses={200: {"model": Item}, **instead(UnknownCatalogueItem, NoCatalogue, StoreUnavailable)},
        summary="One item, as the catalogue has it",
    )
    async def get_item(item_id: ItemId, vertical: Vertical) -> Response:
        """What was put there; fields that have their defaults are left out."""
        [item] = await _catalogues(parts).get_many(vertical, [_known_id(item_id)])
        if item is None:
            raise UnknownCatalogueItem("the vertical has no such item")
        return JSONResponse(_shown(item))

    @app.delete(
        "/v1/items/{item_id:path}",  # addresses of articles are ids, too
        operation_id="delete_item",
        status_code=204,
        dependencies=[Depends(_in_utf_8)],
        responses=instead(UnknownCatalogueItem, NoCatalogue, StoreUnavailable),
        summary="Take one item out",
    )
    async def delete_item(item_id: ItemId, vertical: Vertical) -> Response:
        """It is in no reply from the next look at the catalogue on, though the model may know it still."""
        if not await _catalogues(parts).remove(vertical, [_known_id(item_id)]):
            raise UnknownCatalogueItem("the vertical has no such item")
        return Response(status_code=204)


def item_of_json(values: Mapping[str, JsonValue], vertical: str, within: str) -> StoredItem:
    """The item that these fields are, of the type that they or the vertical's name say.

    Raises:
        RequestRefused: they are none; each fault lies below `within`, and does not say what was sent.
    """
    if len(values) > _MOST_FIELDS:
        raise RequestRefused([Fault(within, f"an item has at most {_MOST_FIELDS} fields")])
    given: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if given.setdefault("vertical", vertical) != vertical:
        raise RequestRefused([Fault(f"{within}/vertical", "the vertical that the request names, or none")])
    model = TYPES.get(given.setdefault("type", type_of(vertical)))
    if model is None:
        raise RequestRefused([Fault(f"{within}/type", f"one of: {', '.join(TYPES)}")])
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise RequestRefused(faults_of(error, within)) from error


def _catalogues(parts: Parts) -> ItemStore:
    if parts.catalogues is None:
        raise NoCatalogue("this server has no catalogues: none is configured")
    return parts.catalogues


async def _in_utf_8(request: Request) -> None:  # a coroutine: FastAPI runs functions in a thread
    """Refuse an id that is no UTF-8: uvicorn puts one sign for all that it cannot read, and two ids would be one."""
    try:
        unquote_to_bytes(request.scope["raw_path"]).decode()
    except UnicodeDecodeError as error:
        raise RequestRefused([Fault("#/item_id", "text in UTF-8, percent-encoded")]) from error


def _known_id(item_id: str) -> str:
    if not 0 < len(item_id) <= LONGEST_ID:
        raise UnknownCatalogueItem(f"no item has an id of {len(item_id)} characters")
    return item_id


def _shown(item: StoredItem) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(item_to_bytes(item))
    return shown


def _cursor(mark: Mark) -> str:
    return base64.urlsafe_b64encode(f"{mark.version}.{mark.floor}".encode()).decode()


def _mark(cursor: str) -> Mark:
    try:
        version, floor = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().split(".")
        return Mark(int(version), int(floor))
    except (binascii.Error, ValueError):
        raise RequestRefused([Fault("#/cursor", "the next_cursor of a page of this server")]) from None
