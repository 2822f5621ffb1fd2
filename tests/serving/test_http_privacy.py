"""What belongs to a person is in no log line and in no metric, whatever way it came in."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from feature_store.embedding import UserEmbedding
from tests.serving.published import Publisher, draft
from tests.serving.running import Server, config_of, opened, started

CANARIES = ("canary-person", "canary-item", "canary-event", "canary-path", "canary-query", "canary-placement",
            "canary-field", "canary-header", "0.73519", "item-17")  # fmt: skip


def provoke(server: Server) -> None:
    """Send the canaries everywhere, and make as many different things go wrong as we know."""
    vector = [0.73519] + [0.1] * 7
    event = {"event_id": "canary-event", "user_id": "canary-person", "item_id": "item-17", "event": "view"}
    headers = {"x-note": "canary-header", "traceparent": "canary-header"}
    server.post(event, event | {"user_id": 5, "event_id": "canary-event"}, event | {"canary-field": 1})
    server.post(event | {"event_id": "canary-event-2", "item_id": "canary-item"})
    recommend = "/v1/placements/home:recommend"
    bodies: list[object] = [
        {"user_id": "canary-person"},
        {"user_id": "canary-person", "query_vector": vector, "checkpoint_id": "c"},
        {"session_events": [{"item_id": "item-17"}, {"item_id": "canary-item"}]},
        {"query_vector": vector, "checkpoint_id": server.model_id()},
        {"query_vector": vector, "checkpoint_id": "canary-item"},
        {"query_vector": [*vector, 1.0], "checkpoint_id": server.model_id()},
        {"exclude_item_ids": ["canary-item"]},
        {"canary-field": "canary-person"},
        {"k": "canary-person"},
    ]
    for body in bodies:
        server.client.post(recommend, json=body, headers=headers)
    server.client.post(recommend, content=b'{"user_id": "canary-person"', headers={"content-type": "application/json"})
    server.client.post("/v1/placements/canary-placement:recommend", json={})
    server.client.get("/canary-path/canary-person")
    server.client.get("/livez?user=canary-query")
    server.client.put("/v1/events?user=canary-query")


def test_nothing_of_a_person_is_in_logs_or_metrics(publisher: Publisher, tmp_path: Path) -> None:
    model_id = publisher.publish(draft(1))
    with started(config_of(publisher, store=tmp_path / "store.sqlite"), tmp_path) as server:
        server.serves(model_id)
        provoke(server)
        metrics = server.client.get("/metrics").text
        server.logged("request", count=16)
    log = server.log()
    assert [canary for canary in CANARIES if canary in log] == []
    assert [canary for canary in CANARIES if canary in metrics] == []


def test_a_failure_of_ours_is_told_by_where_it_arose_and_not_by_what_it_says(
    publisher: Publisher, tmp_path: Path
) -> None:
    """The stored vector has another length than the model's: no file of ours would hold such a one."""
    model_id, store = publisher.publish(draft(1)), tmp_path / "store.sqlite"
    event = {"event_id": "e", "user_id": "canary-person", "item_id": "item-1", "event": "view"}
    with started(config_of(publisher, store=store), tmp_path) as server:
        server.serves(model_id)
        server.post(event).raise_for_status()

        async def spoil() -> None:
            with closing(sqlite3.connect(store)) as other:  # else the store would not take it
                other.execute("DELETE FROM checkpoints")
                other.commit()
            async with opened(store) as stores:
                history = await stores.events.get("canary-person")
                spoilt = UserEmbedding(np.ones(3, dtype=np.float32), model_id, history.watermark)
                await stores.embeddings.put("canary-person", spoilt)

        asyncio.run(spoil())
        response = server.recommend(user_id="canary-person")

        assert response.status_code == 500
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["type"] == "/problems/internal-error"
        assert "float32" not in response.text
        [failure] = server.logged("Exception in ASGI application")
        assert failure["error"] == "BadInput"
        assert any("serving/retrieval.py" in frame for frame in failure["at"])
        assert "float32" not in json.dumps(failure)
        [line] = [line for line in server.logged("request") if line["status"] == 500]
        assert line["request_id"] == response.headers["x-request-id"]
        labels = 'placement="home",route="/v1/placements/{placement}:recommend",status="500"'
        assert server.metric(f"hearth_requests_total{{{labels}}}") == 1
        assert server.recommend().status_code == 200
