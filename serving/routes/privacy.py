"""`/v1/privacy`: what is held of a person, and its erasure. The person's id is in the body, never in an address."""

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from feature_store.errors import BadInput
from feature_store.rights import ErasureReceipt
from serving.access.gate import caller_of
from serving.access.tenants import person_of
from serving.errors import Fault, RequestRefused, UnknownErasure
from serving.routes.parts import Parts, takes_json
from serving.schemas import PersonBody


def add_privacy(app: FastAPI, parts: Parts) -> None:
    """`POST /v1/privacy/exports`, `POST /v1/privacy/erasures`, `GET /v1/privacy/erasures/{erasure_id}`."""

    @app.post("/v1/privacy/exports", dependencies=[Depends(takes_json)], summary="All that is held of a person")
    async def export(body: PersonBody, request: Request) -> Response:
        return JSONResponse(dict(await parts.erasures.export(_person(body, request), body.user_id)))

    @app.post(
        "/v1/privacy/erasures",
        status_code=201,
        dependencies=[Depends(takes_json)],
        summary="Remove all that is held of a person; the receipt says what was removed where, and what is left",
    )
    async def erase(body: PersonBody, request: Request) -> Response:
        erasure_id, receipt = await parts.erasures.erase(_person(body, request))
        return JSONResponse(_shown(erasure_id, receipt), 201, {"location": f"/v1/privacy/erasures/{erasure_id}"})

    @app.get("/v1/privacy/erasures/{erasure_id}", summary="The receipt, as far as the erasure has come")
    async def receipt(erasure_id: str) -> Response:
        found = parts.erasures.receipt(erasure_id)
        if found is None:
            raise UnknownErasure("this server has given no such receipt, or long ago")
        return JSONResponse(_shown(erasure_id, found))


def _person(body: PersonBody, request: Request) -> str:
    """As the stores know the person: each tenant has people of its own."""
    try:
        return person_of(caller_of(request).tenant, body.user_id)
    except BadInput as error:
        raise RequestRefused([Fault("#/user_id", str(error))]) from error


def _shown(erasure_id: str, receipt: ErasureReceipt) -> dict[str, object]:
    return {"erasure_id": erasure_id, **receipt.as_json()}
