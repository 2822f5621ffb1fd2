"""A failure of the server's own says nothing of the person whose request met it; see `test_canaries` for all else."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from feature_store.embedding import UserEmbedding
from tests.serving.published import Publisher, draft
from tests.serving.running import config_of, opened, started


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
        assert response.headers["connection"] == "close"  # as uvicorn does then
        assert "float32" not in response.text
        [failure] = server.logged("Exception in ASGI application")
        assert failure["error"] == "BadInput"
        assert any("serving/indexes/item_matrix.py" in frame for frame in failure["at"])
        assert "float32" not in json.dumps(failure)
        [line] = [line for line in server.logged("request") if line["status"] == 500]
        assert line["request_id"] == response.headers["x-request-id"]
        labels = 'placement="home",route="/v1/placements/{placement}:recommend",status="500"'
        assert server.metric(f"hearth_requests_total{{{labels}}}") == 1
        assert server.recommend().status_code == 200
