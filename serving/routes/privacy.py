"""`/v1/privacy`: what is held of a person, and its erasure. The person's id is in the body, never in an address."""

from typing import Annotated

from fastapi import Depends, FastAPI, Path
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from feature_store.errors import BadInput, StoreUnavailable
from feature_store.rights import ErasureReceipt
from serving.access.gate import caller_of
from serving.access.tenants import person_of
from serving.errors import Fault, RequestRefused, UnknownErasure
from serving.openapi import instead
from serving.replies import Erasure, PersonExport
from serving.routes.parts import Parts, takes_json
from serving.schemas import PersonBody


def add_privacy(app: FastAPI, parts: Parts) -> None:
    """`POST /v1/privacy/exports`, `POST /v1/privacy/erasures`, `GET /v1/privacy/erasures/{erasure_id}`."""

    @app.post(
        "/v1/privacy/exports",
        operation_id="export_person",
        dependencies=[Depends(takes_json)],
        responses={200: {"model": PersonExport}, **instead(StoreUnavailable)},
        summary="All that is held of a person",
    )
    async def export(body: PersonBody, request: Request) -> Response:
        """One document, by the place that holds it. Of somebody of whom nothing is held, its lists are empty."""
        return JSONResponse(dict(await parts.erasures.export(_person(body, request), body.user_id)))

    @app.post(
        "/v1/privacy/erasures",
        operation_id="erase_person",
        status_code=201,
        dependencies=[Depends(takes_json)],
        responses={
            201: {"model": Erasure, "headers": {"location": {"schema": {"type": "string"}, "description": "receipt"}}},
            **instead(StoreUnavailable),
        },
        summary="Remove all that is held of a person; the receipt says what was removed where, and what is left",
    )
    async def erase(body: PersonBody, request: Request) -> Response:
        """Done when this is answered; files are written anew in the background. It may be repeated."""
        erasure_id, receipt = await parts.erasures.erase(_person(body, request))
        return JSONResponse(_shown(erasure_id, receipt), 201, {"location": f"/v1/privacy/erasures/{erasure_id}"})

    @app.get(
        "/v1/privacy/erasures/{erasure_id}",
        operation_id="get_erasure",
        responses={200: {"model": Erasure}, **instead(UnknownErasure)},
        summary="The receipt, as far as the erasure has come",
    )
    async def receipt(erasure_id: Annotated[str, Path(description="as the erasure named it")]) -> Response:
        """Kept in memory by the server that gave it, the latest 10,000."""
        found = parts.erasures.receipt(erasure_id)
        if found is not None:
            return JSONResponse(_shown(erasure_id, found))
        for written in (await parts.siblings.ask("receipt", erasure_id)).values():
            return Response(written, media_type="application/json")
        raise UnknownErasure("this server has given no such receipt, or long ago")


def _person(body: PersonBody, request: Request) -> str:
    """As the stores know the person: each tenant has people of its own."""
    try:
        return person_of(caller_of(request).tenant, body.user_id)
    except BadInput as error:
        raise RequestRefused([Fault("#/user_id", str(error))]) from error


def _shown(erasure_id: str, receipt: ErasureReceipt) -> dict[str, object]:
    return {"erasure_id": erasure_id, **receipt.as_json()}
