"""The direct way to a route answers as the framework does, and asks it only about what is not as it should be."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from serving.error_problems import install
from serving.openapi import PROBLEMS, describe_problems
from serving.routes.direct import answer_directly, directly
from serving.routes.parts import json_reply, takes_json
from serving.schemas import RecommendBody

pytestmark = pytest.mark.anyio

JSON = "application/json"
PATH = "/v1/placements/front-page:recommend"


class Asked(NamedTuple):
    """An app, and how often its framework was asked."""

    app: ASGIApp
    by_framework: list[str]


def an_app(*, is_direct: bool) -> Asked:
    app, by_framework = FastAPI(responses=PROBLEMS), list[str]()
    install(app)
    describe_problems(app)

    async def count(request: Request) -> None:
        by_framework.append(request.url.path)

    @app.post("/v1/placements/{placement}:recommend", dependencies=[Depends(count), Depends(takes_json)])
    async def recommend(placement: str, body: RecommendBody, request: Request) -> Response:
        if body.k == 100:
            raise HTTPException(415)
        if body.k > 100:
            raise KeyError("a mistake of ours")
        return json_reply(body.model_copy(update={"model_id": f"{placement} {request.headers['x-more']}"}))

    if not is_direct:
        return Asked(app, by_framework)
    answer_directly(app, recommend, RecommendBody)
    return Asked(directly(app), by_framework)


async def replies(asked: Asked, content: bytes | list[bytes], kind: str | None) -> tuple[int, bytes, str | None]:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in content:
            assert isinstance(piece, bytes)
            yield piece

    transport = httpx.ASGITransport(asked.app, raise_app_exceptions=False)
    headers = {"x-more": "more"} if kind is None else {"x-more": "more", "content-type": kind}
    async with httpx.AsyncClient(transport=transport, base_url="http://hearth") as client:
        reply = await client.post(PATH, content=pieces() if isinstance(content, list) else content, headers=headers)
    return reply.status_code, reply.content, reply.headers.get("content-type")


@pytest.mark.parametrize("kind", [JSON, "Application/JSON ; charset=utf-8", "application/json;"])
@pytest.mark.parametrize(
    "content",
    [
        b'{"user_id": "anna", "k": 5}',
        b"{}",
        '{"user_id": "\u00e4nna", "filters": {"price": {"max": 3}}, "attributes": {"region": "DE"}}'.encode(),
        b'{"query_vector": [1, 2.5, -3e-2], "checkpoint_id": "r1"}',
        b'{"k": 1, "k": 2}',
    ],
)
async def test_what_is_well_formed_does_not_come_to_the_framework(content: bytes, kind: str) -> None:
    ours, theirs = an_app(is_direct=True), an_app(is_direct=False)
    reply = await replies(ours, content, kind)
    assert reply == await replies(theirs, content, kind)
    assert reply[0] == 200
    assert b'"front-page more"' in reply[1]
    assert (len(ours.by_framework), len(theirs.by_framework)) == (0, 1)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", JSON),
        (b"{", JSON),
        (b"[]", JSON),
        (b"null", JSON),
        (b'"anna"', JSON),
        (b'{"k": 0, "user_id": 7, "other": 1}', JSON),
        (b'{"k": 1.0}', JSON),
        (b'{"diversity": NaN}', JSON),
        (b'{"user_id": "\xff"}', JSON),
        ('{"k": 1}'.encode("utf-16"), JSON),
        (b'{"filters": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON),
        (b'{"k": ' + b"1" * 5000 + b"}", JSON),
        (b'{"k": 1}', "text/plain"),
        (b'{"k": 1}', "application/vnd.hearth+json"),
        (b"{", "application/vnd.hearth+json"),
        (b'{"k": 1}', None),
    ],
)
async def test_what_is_not_as_it_should_be_is_refused_as_the_framework_refuses_it(
    content: bytes, kind: str | None
) -> None:
    reply = await replies(an_app(is_direct=True), content, kind)
    assert reply == await replies(an_app(is_direct=False), content, kind)
    assert reply[0] in {400, 415, 422}


async def test_a_body_in_pieces_is_put_together() -> None:
    pieces = [b'{"user_id": "an', b'na", ', b'"k": 7}']
    reply = await replies(an_app(is_direct=True), pieces, JSON)
    assert reply == await replies(an_app(is_direct=False), pieces, JSON)
    assert reply[0] == 200
    assert b'"user_id":"anna"' in reply[1]


async def test_a_mistake_of_ours_is_the_same_problem() -> None:
    reply = await replies(an_app(is_direct=True), b'{"k": 101}', JSON)
    assert reply == await replies(an_app(is_direct=False), b'{"k": 101}', JSON)
    assert reply[0] == 500


async def test_what_an_endpoint_refuses_is_the_same_problem() -> None:
    reply = await replies(an_app(is_direct=True), b'{"k": 100}', JSON)
    assert reply == await replies(an_app(is_direct=False), b'{"k": 100}', JSON)
    assert reply[0] == 415
