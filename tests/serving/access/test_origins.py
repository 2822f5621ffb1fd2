"""Whose web pages may ask, as a browser finds out."""

from collections.abc import Iterator

import pytest

from tests.serving.access.keyed import KeyFile, bearer
from tests.serving.published import Publisher, draft
from tests.serving.running import Server, config_of, started

SHOP, ROUTE = "https://shop.example", "/v1/placements/home:recommend"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    keys = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    keys.add("page", "recommend")
    return keys


@pytest.fixture(scope="module")
def shop(keys: KeyFile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shop")
    publisher = Publisher(folder)
    model_id = publisher.publish(draft(1))
    with started(config_of(publisher, api_keys=keys.file, allowed_origins=[SHOP]), folder) as server:
        server.serves(model_id)
        yield server


def asks_first(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type",
    }


def test_a_page_of_an_allowed_origin_may_ask_and_needs_a_key_like_anybody(shop: Server, keys: KeyFile) -> None:
    allowed = shop.client.options(ROUTE, headers=asks_first(SHOP))  # a browser sends no key with this one
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-credentials" not in allowed.headers
    reply = shop.client.post(ROUTE, json={}, headers={"origin": SHOP, **bearer(keys.secrets["page"])})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, SHOP)
    refused = shop.client.post(ROUTE, json={}, headers={"origin": SHOP})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, SHOP)


def test_a_page_of_another_origin_is_told_no_by_a_problem(shop: Server, keys: KeyFile) -> None:
    for headers in (asks_first("https://other.example"), asks_first(SHOP, method="TRACE")):
        refused = shop.client.options(ROUTE, headers=headers)
        assert (refused.status_code, refused.json()["type"]) == (400, "/problems/origin-not-allowed")
    headers = {"origin": "https://other.example", **bearer(keys.secrets["page"])}
    assert "access-control-allow-origin" not in shop.client.post(ROUTE, json={}, headers=headers).headers


def test_unless_origins_are_configured_no_page_may_ask(server: Server) -> None:
    assert server.client.options(ROUTE, headers=asks_first(SHOP)).status_code == 405
    assert "access-control-allow-origin" not in server.client.post(ROUTE, json={}, headers={"origin": SHOP}).headers
