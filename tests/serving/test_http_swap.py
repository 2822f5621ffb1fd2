"""Another checkpoint is promoted, rolled back or broken while people ask."""

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from feature_store.durable import replace
from tests.serving.published import Publisher, draft, personal, popular
from tests.serving.running import PATIENCE, Server, config_of, started, until

SEEN = ["item-2", "item-6"]


class Stream:
    """Requests without a pause from several threads; each reply is kept."""

    def __init__(self, server: Server, threads: int = 3) -> None:
        self.replies: list[httpx.Response] = []
        self.failures: list[Exception] = []
        self._address, self._ended = server.client.base_url, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def grows_by(self, count: int) -> None:
        """Return when so many more replies have come."""
        aim = len(self.replies) + count
        until(lambda: len(self.replies) >= aim or self.failures, lambda: f"{len(self.replies)} replies, not {aim}")

    def _ask(self, number: int) -> None:
        body = {} if number == 0 else {"user_id": "anna"}
        with httpx.Client(base_url=self._address, timeout=PATIENCE) as client:
            while not self._ended.is_set():
                try:
                    self.replies.append(client.post("/v1/placements/home:recommend", json=body))
                except httpx.HTTPError as failure:
                    self.failures.append(failure)


def test_every_reply_during_swaps_and_roll_backs_is_that_of_exactly_one_model(
    publisher: Publisher, tmp_path: Path
) -> None:
    contents = [draft(1), draft(2, items=64), draft(3, dim=6)]
    model_ids = [publisher.publish(content, promote=False) for content in contents]
    publisher.registry.promote(model_ids[0])
    expected = {
        (model_id, tier): ranked
        for model_id, content in zip(model_ids, contents, strict=True)
        for tier, ranked in (("anonymous", popular(content)), ("edge-cell", personal(content, SEEN)))
    }

    with started(config_of(publisher, store=tmp_path / "store.sqlite"), tmp_path) as server:
        server.serves(model_ids[0])
        events = [{"event_id": i, "user_id": "anna", "item_id": i, "event": "view"} for i in SEEN]
        server.post(*events).raise_for_status()
        with Stream(server) as stream:
            for step in (model_ids[1], model_ids[2], None, None, model_ids[1]):
                stream.grows_by(20)
                stages = publisher.registry.roll_back() if step is None else publisher.registry.promote(step)
                server.serves(str(stages.production))
            stream.grows_by(20)

    assert not stream.failures
    assert {response.status_code for response in stream.replies} == {200}
    seen: Counter[tuple[str, str]] = Counter()
    for response in stream.replies:
        reply = response.json()
        served = (reply["model_id"], reply["privacy_tier"])
        seen[served] += 1
        assert [item["item_id"] for item in reply["items"]] == [item_id for item_id, _ in expected[served]]
        assert [item["score"] for item in reply["items"]] == pytest.approx([s for _, s in expected[served]], abs=1e-4)
        assert reply["meta"]["degraded"] == []
    assert set(seen) == set(expected)


def test_a_promoted_checkpoint_that_is_damaged_leaves_the_old_one_serving_and_is_said(
    publisher: Publisher, tmp_path: Path
) -> None:
    content = draft(1)
    first = publisher.publish(content)
    with started(config_of(publisher), tmp_path) as server:
        server.serves(first)
        second = publisher.publish(draft(2), promote=False)
        file = publisher.folder / "checkpoints" / second / "item_vectors.safetensors"
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        stages = publisher.folder / "stages.json"  # promoted by somebody who saw it whole; the registry would not
        replace(stages, json.dumps({"production": second, "previous": [first]}).encode())

        [failed, *_] = server.logged("model not swapped")
        assert (failed["model_id"], failed["answering"]) == (second, first)
        ready: Any = server.client.get("/readyz")
        assert ready.status_code == 200
        check = ready.json()["checks"]["model"]
        assert check == {
            "status": "ok",
            "model_id": first,
            "failure": {"model_id": second, "reason": "CorruptCheckpoint"},
        }
        assert [item["item_id"] for item in server.ask()["items"]] == [item_id for item_id, _ in popular(content)]
        assert server.metric('hearth_model_swaps_total{outcome="failure",stage="production"}') >= 1

        file.write_bytes(whole)
        server.serves(second)
        assert "failure" not in server.client.get("/readyz").json()["checks"]["model"]
