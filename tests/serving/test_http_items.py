"""Catalogues over HTTP: what is written is in the next replies of every server that reads the same catalogue."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.serving.published import Publisher, draft
from tests.serving.running import Server, config_of, started, until

FILMS = {"vertical": "films"}


def title(item_id: str, **more: Any) -> dict[str, Any]:
    return {"item_id": item_id, "title": item_id.upper(), **more}


@pytest.fixture
def two(publisher: Publisher, tmp_path: Path) -> Iterator[list[Server]]:
    """Two servers with one file of catalogues, and a placement that shows what is in it."""
    model_id = publisher.publish(draft(1))
    config = config_of(publisher, items=tmp_path / "items.sqlite", placements={"home": FILMS}, catalogue_seconds=0.05)
    with ExitStack() as running:
        found = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            found.append(running.enter_context(started(config, tmp_path / name)))
            found[-1].serves(model_id)
        yield found


def shown(server: Server, **asked: Any) -> list[str]:
    return [item["item_id"] for item in server.ask(k=60, **asked)["items"]]


def test_a_catalogue_that_cannot_be_read_is_said_to_be_stale_wherever_that_matters(
    two: list[Server], tmp_path: Path
) -> None:
    one = two[0]
    one.client.put("/v1/items/item-7", params=FILMS, json={"title": "Heat"}).raise_for_status()
    until(lambda: shown(one) == ["item-7"], one.log)
    assert one.client.get("/readyz").json()["checks"]["catalogue"] == {"status": "ok"}
    assert one.metric('hearth_catalogue_stale{vertical="films"}') == 0

    for part in tmp_path.glob("items.sqlite*"):
        with part.open("r+b") as opened:
            opened.write(b"\xa5" * max(4096, part.stat().st_size))
    until(lambda: one.ask(k=60)["meta"]["degraded"] == ["catalogue-stale"], one.log)
    assert shown(one) == ["item-7"]
    ready = one.client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["catalogue"]["status"]) == (200, "stale")
    assert one.metric('hearth_catalogue_stale{vertical="films"}') == 1
    assert one.metric('hearth_degraded_total{reason="catalogue-stale"}') > 0
    refused = one.client.get("/v1/items", params=FILMS)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/store-unavailable")
    assert refused.headers["retry-after"]


def test_an_item_that_cannot_be_read_is_mended_by_putting_it(two: list[Server], tmp_path: Path) -> None:
    one = two[0]
    for item_id in ("item-7", "new"):
        one.client.put(f"/v1/items/{item_id}", params=FILMS, json={}).raise_for_status()
    with closing(sqlite3.connect(tmp_path / "items.sqlite", timeout=10.0)) as connection:
        connection.execute("UPDATE items SET content = 7, version = 50 WHERE item_id = 'new'")
        connection.execute("UPDATE verticals SET version = 50")
        connection.commit()
    until(lambda: one.metric('hearth_catalogue_unreadable_items{vertical="films"}') == 1, one.log)
    assert shown(one) == ["item-7"]
    assert one.client.get("/v1/items/new", params=FILMS).status_code == 503
    page = one.client.get("/v1/items", params=FILMS).json()
    assert ([item["item_id"] for item in page["items"]], page["unreadable_item_ids"]) == (["item-7"], ["new"])
    assert one.client.put("/v1/items/new", params=FILMS, json={}).status_code == 200
    until(lambda: sorted(shown(one)) == ["item-7", "new"], one.log)
    assert one.metric('hearth_catalogue_unreadable_items{vertical="films"}') == 0
    assert "unreadable_item_ids" not in one.client.get("/v1/items", params=FILMS).json()


def test_what_is_put_changed_and_removed_is_so_on_both_servers(two: list[Server]) -> None:
    one, other = two
    assert shown(one) == []
    put = one.client.put("/v1/items/item-7", params=FILMS, json={"title": "Heat", "categories": ["crime"]})
    assert (put.status_code, put.json()["title"]) == (201, "Heat")
    assert one.client.put("/v1/items/new", params=FILMS, json={"title": "New"}).status_code == 201
    for server in two:
        until(lambda server=server: sorted(shown(server)) == ["item-7", "new"], server.log)
        assert server.ask(k=60)["items"][0]["source"] == "popular"
        assert "score" not in server.ask(k=60)["items"][1]  # the model does not know it
        assert shown(server, filters={"categories": "crime"}) == ["item-7"]

    again = other.client.put("/v1/items/item-7", params=FILMS, json={"title": "Heat (1995)"})
    assert (again.status_code, again.json()) == (
        200,
        {"type": "item", "item_id": "item-7", "vertical": "films", "title": "Heat (1995)"},
    )
    assert one.client.get("/v1/items/item-7", params=FILMS).json() == again.json()
    assert other.client.delete("/v1/items/item-7", params=FILMS).status_code == 204
    for server in two:
        until(lambda server=server: shown(server) == ["new"], server.log)
    gone = one.client.get("/v1/items/item-7", params=FILMS)
    assert (gone.status_code, gone.json()["type"]) == (404, "/problems/unknown-item")
    assert one.client.delete("/v1/items/item-7", params=FILMS).status_code == 404


def test_an_import_judges_each_item_by_itself(two: list[Server]) -> None:
    items = [
        title("item-1"),
        {"title": "no id"},
        title("item-2", colour="red"),
        title("item-3", numbers={"year": 1995}),
    ]
    reply = two[0].client.post("/v1/items:import", json={"vertical": "films", "items": items})
    assert reply.status_code == 207
    outcomes = reply.json()["items"]
    assert [outcome["status"] for outcome in outcomes] == [200, 422, 422, 200]
    assert [outcome["problem"]["errors"][0]["pointer"] for outcome in outcomes if "problem" in outcome] == [
        "#/items/1/item_id",
        "#/items/2/colour",
    ]
    until(lambda: sorted(shown(two[1])) == ["item-1", "item-3"], two[1].log)
    assert shown(two[1], filters={"year": {"min": 1990}}) == ["item-3"]


def test_a_catalogue_is_read_page_by_page(two: list[Server]) -> None:
    items = [title(f"item-{n}") for n in range(7)]
    two[0].client.post("/v1/items:import", json={"vertical": "films", "items": items}).raise_for_status()
    seen, cursor = [], {}
    for _ in range(3):
        page = two[1].client.get("/v1/items", params={**FILMS, "limit": 3, **cursor}).json()
        seen += [item["item_id"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]} if "next_cursor" in page else {}
    assert cursor == {}
    assert sorted(seen) == sorted(item["item_id"] for item in items)
    for wrong in ("nonsense", "MS4y!", "eA=="):
        refused = two[0].client.get("/v1/items", params={**FILMS, "cursor": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/cursor")


def test_what_cannot_be_an_item_is_refused_without_being_given_back(two: list[Server]) -> None:
    client = two[0].client
    for wrong, pointer in (
        ({"title": ["canary"]}, "#/title"),
        ({"vertical": "canary"}, "#/vertical"),
        ({"type": "canary"}, "#/type"),
        ({"numbers": {"year": "canary"}}, "#/numbers/year"),
    ):
        refused = client.put("/v1/items/item-1", params=FILMS, json=wrong)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
        assert "canary" not in refused.text
    assert client.put("/v1/items/item-1", json={}).json()["errors"][0]["pointer"] == "#/vertical"
    assert client.put("/v1/items/item-1", params={"vertical": "No Such"}, json={}).status_code == 422
    assert client.put(f"/v1/items/{'x' * 300}", params=FILMS, json={"title": "long"}).status_code == 422
    assert client.get(f"/v1/items/{'x' * 300}", params=FILMS).status_code == 404


def test_filters_on_fields_that_nothing_has_are_refused_by_name(two: list[Server]) -> None:
    crime = {"categories": ["crime"], "numbers": {"year": 1995}}
    two[0].client.put("/v1/items/item-1", params=FILMS, json=crime).raise_for_status()
    until(lambda: shown(two[0]) == ["item-1"], two[0].log)
    refused = two[0].recommend(filters={"colour": "red", "categories": "crime"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"pointer": "#/filters/colour", "detail": "fields that items of this placement have: categories, year"}
    ]
    wrong = two[0].recommend(filters={"year": "1995", "categories": {"min": 3}}).json()["errors"]
    assert {fault["pointer"]: fault["detail"] for fault in wrong} == {
        "#/filters/year": "items have a number there: filter by min, max or both",
        "#/filters/categories": "items have names there, and no numbers",
    }


def test_a_placement_that_asks_for_a_field_that_nothing_has_says_so(publisher: Publisher, tmp_path: Path) -> None:
    model_id = publisher.publish(draft(1))
    placements = {"home": {**FILMS, "where": {"colour": "red"}}}
    with started(config_of(publisher, items=tmp_path / "items.sqlite", placements=placements), tmp_path) as server:
        server.serves(model_id)
        server.client.put("/v1/items/item-1", params=FILMS, json={"categories": ["crime"]}).raise_for_status()
        until(lambda: "condition-unknown" in server.ask()["meta"]["degraded"], server.log)
        server.client.put("/v1/items/item-2", params=FILMS, json={"labels": {"colour": ["red"]}}).raise_for_status()
        until(lambda: shown(server) == ["item-2"], server.log)
        assert "condition-unknown" not in server.ask()["meta"]["degraded"]


def test_without_a_catalogue_the_addresses_say_so(server: Server) -> None:
    reply = server.client.get("/v1/items", params=FILMS)
    assert (reply.status_code, reply.json()["type"]) == (404, "/problems/no-catalogue")


def test_an_item_of_any_id_is_put_read_and_taken_out(publisher: Publisher, tmp_path: Path) -> None:
    with started(config_of(publisher, items=tmp_path / "items.sqlite"), tmp_path) as server:
        client = server.client
        for item_id in ("https://news.example/heat?page=1", "a/b", "a/", "café", "\ufffd"):
            address = f"/v1/items/{quote(item_id, safe='')}"
            put = client.put(address, params=FILMS, json={"title": "Heat"})
            assert (put.status_code, put.json()["item_id"]) == (201, item_id)
            assert client.get(address, params=FILMS).json() == put.json()
            new = {**FILMS, "items": [{"item_id": item_id, "title": "New"}]}
            assert client.post("/v1/items:import", json=new).json()["items"][0]["status"] == 200
            assert client.get(address, params=FILMS).json()["title"] == "New"
            assert client.delete(address, params=FILMS).status_code == 204
            assert client.get(address, params=FILMS).status_code == 404
        for method in ("PUT", "GET", "DELETE"):
            refused = client.request(method, "/v1/items/%ff", params=FILMS, json={})
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/item_id")
            assert client.request(method, "/v1/items/", params=FILMS, json={}).status_code in {404, 422}
        route = 'route="/v1/items/{item_id}",status="201"'
        assert server.metric(f'hearth_requests_total{{placement="",{route}}}') == 5
