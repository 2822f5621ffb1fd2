"""Lists before there is a model: what the catalogue has, by the rules of the placement, marked as degraded."""

import time
from pathlib import Path
from typing import Any

import pytest

from feature_store.item_schemas import Ad, Article, StoredItem
from tests.serving.items_file import put
from tests.serving.published import Publisher
from tests.serving.running import Server, config_of, started, until
from tests.serving.stocked import content_of

HOUR, BEGUN = 3600.0, time.time()
PLACEMENTS: dict[str, Any] = {
    "home": {},
    "news": {
        "vertical": "news",
        "rules": [{"when": {"topic": "sport"}, "then": "hide"}],
        "caps": [{"field": "source", "most": 2}],
    },
    "mixed": {
        "vertical": "news",
        "sources": [
            {"kind": "pinned", "items": ["news-9"], "share": 0.2},
            {"kind": "fresh", "max_age_hours": 3},
            {"kind": "popular"},
        ],
    },
    "empty": {"vertical": "films", "sources": [{"kind": "popular"}]},
    "ads": {"vertical": "ads", "ads": {"currency": "EUR"}},
}


def article(number: int, **fields: Any) -> Article:
    return Article(item_id=f"news-{number}", vertical="news", published=BEGUN - number * HOUR, **fields)


CATALOGUE: list[StoredItem] = [
    *(article(number, topic="sport" if number == 1 else "local", source=f"desk-{number // 4}") for number in range(12)),
    Ad(item_id="ad-1", vertical="ads", advertiser="tea", bid="0.4", currency="EUR", safety="general"),
]


def names(reply: Any) -> list[str]:
    return [item["item_id"] for item in reply["items"]]


def answers(server: Server) -> None:
    until(lambda: server.recommend("news").status_code == 200, server.log)


def config(publisher: Publisher, folder: Path, **more: Any) -> Any:
    files = {"store": "store", "items": "items", "ad_counters": "ads"}
    places = {name: folder / f"{file}.sqlite" for name, file in files.items()}
    return config_of(publisher, **places, placements=PLACEMENTS, ads_seconds=0.05, **more)


def test_the_catalogue_answers_before_there_is_a_model_by_all_the_rules_that_hold_with_one(
    publisher: Publisher, tmp_path: Path
) -> None:
    put(tmp_path / "items.sqlite", CATALOGUE)
    with started(config(publisher, tmp_path), tmp_path) as server:
        answers(server)
        reply = server.ask(placement="news", k=5)
        assert names(reply) == ["news-0", "news-2", "news-4", "news-5", "news-8"]  # no sport, two of each desk
        assert "model_id" not in reply
        assert reply["meta"]["degraded"] == ["no-model"]
        assert {item["source"] for item in reply["items"]} == {"popular"}
        assert names(server.ask(placement="news", filters={"source": "desk-0"}, exclude_item_ids=["news-0"])) == [
            "news-2",
            "news-3",
        ]
        seen = {"event_id": "1", "user_id": "anna", "item_id": "news-0", "event": "view", "vertical": "news"}
        server.post(seen).raise_for_status()
        known = server.ask(placement="news", user_id="anna", k=2)
        assert (names(known), known["meta"]["degraded"]) == (["news-2", "news-3"], ["no-model"])
        assert known["privacy_tier"] == "edge-cell"
        mixed = names(server.ask(placement="mixed", k=5))
        assert "news-9" in mixed
        assert {"news-0", "news-1", "news-2"} <= set(mixed)
        vector = server.ask(placement="news", query_vector=[0.1] * 8, checkpoint_id="r0001-any", k=2)
        assert (vector["privacy_tier"], vector["meta"]["degraded"]) == ("ephemeral", ["no-model"])
        until(lambda: server.recommend("ads").status_code == 200, server.log)
        assert names(server.ask(placement="ads")) == ["ad-1"]

        ready = server.client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["model"]["status"] == "missing"
        assert ready.json()["checks"]["catalogue"] == {"status": "ok"}
        assert server.metric('hearth_degraded_total{reason="no-model"}') > 0
        assert server.metric('hearth_lists_total{model_id="",placement="mixed"}') == 1


@pytest.mark.parametrize("asked", [("home", {}), ("empty", {}), ("news", {"filters": {"topic": "sport"}})])
def test_where_nothing_can_be_shown_it_is_said_that_there_is_no_model(
    publisher: Publisher, tmp_path: Path, asked: tuple[str, dict[str, Any]]
) -> None:
    put(tmp_path / "items.sqlite", CATALOGUE)
    with started(config(publisher, tmp_path), tmp_path) as server:
        answers(server)
        refused = server.recommend(asked[0], **asked[1])
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/no-model")
        assert refused.headers["retry-after"] == "1"
        named = server.recommend("news", model_id="r0001-any")
        assert (named.status_code, named.json()["type"]) == (409, "/problems/model-not-loaded")


def test_what_comes_to_the_catalogue_is_shown_and_the_first_model_takes_over(
    publisher: Publisher, tmp_path: Path
) -> None:
    items = tmp_path / "items.sqlite"
    put(items, CATALOGUE)
    with started(config(publisher, tmp_path), tmp_path) as server:
        answers(server)
        put(
            items, [article(0, topic="local", source="other", title="again"), article(-1)]
        )  # the latter opens in an hour
        put(items, [article(20).model_copy(update={"published": BEGUN - 1})])
        until(lambda: names(server.ask(placement="news", k=2)) == ["news-0", "news-20"], server.log)
        for viewer in range(3):
            click = {"event_id": "1", "user_id": f"person-{viewer}", "item_id": "news-7", "event": "click"}
            server.post(click).raise_for_status()
        assert names(server.ask(placement="news", k=2)) == ["news-7", "news-0"]
        damaged = publisher.publish(content_of("news", 1))
        vectors = publisher.folder / "checkpoints" / damaged / "item_vectors.safetensors"
        vectors.write_bytes(vectors.read_bytes()[:-1])
        until(lambda: "failure" in server.client.get("/readyz").json()["checks"]["model"], server.log)
        assert server.ask(placement="news", k=2)["meta"]["degraded"] == ["no-model"]

        model_id = publisher.publish(content_of("news", 2))
        server.serves(model_id)
        put(items, [article(number) for number in range(12)])
        reply = server.ask(placement="news", k=2)
        assert (reply["model_id"], reply["meta"]["degraded"]) == (model_id, [])
        assert server.client.get("/readyz").status_code == 200
