"""Several requests in one: each is answered, or refused, as it would be alone."""

import threading
import time
from pathlib import Path

import httpx
import numpy as np

from tests.serving.published import Publisher, draft, personal, popular
from tests.serving.running import PATIENCE, Server, config_of, started


def test_each_request_of_a_batch_is_answered_as_alone(server: Server) -> None:
    vector = np.ones(8).tolist()
    model_id = server.model_id()
    requests = [
        {"session_events": [{"item_id": "item-2"}, {"item_id": "item-6"}]},
        {"k": 3},
        {"k": 1000},
        {"user": "canary"},
        {"query_vector": vector, "checkpoint_id": "r0009-other"},
        {"query_vector": vector, "checkpoint_id": model_id, "k": 2},
        {"model_id": "r0009-none"},
        7,
    ]
    reply = server.client.post("/v1/placements/home:batch-recommend", json={"requests": requests})
    assert reply.status_code == 207
    outcomes = reply.json()["replies"]
    assert [outcome["status"] for outcome in outcomes] == [200, 200, 422, 422, 409, 200, 409, 422]
    assert [item["item_id"] for item in outcomes[0]["reply"]["items"]] == [
        name for name, _ in personal(draft(1), ["item-2", "item-6"])
    ]
    assert [item["item_id"] for item in outcomes[1]["reply"]["items"]] == [name for name, _ in popular(draft(1))][:3]
    assert len({outcome["reply"]["recommendation_id"] for outcome in outcomes if "reply" in outcome}) == 3
    told = {outcome["index"]: outcome["problem"] for outcome in outcomes if "problem" in outcome}
    assert told[2]["errors"] == [{"pointer": "#/requests/2/k", "detail": "k is at most 80"}]
    assert told[3]["errors"][0]["pointer"] == "#/requests/3/user"
    assert (told[4]["type"], told[6]["type"]) == ("/problems/checkpoint-mismatch", "/problems/model-not-loaded")
    assert "canary" not in server.log()


def test_a_batch_that_is_too_large_or_of_no_placement_is_refused_as_a_whole(server: Server) -> None:
    post = server.client.post
    too_many = post("/v1/placements/home:batch-recommend", json={"requests": [{}] * 101})
    assert (too_many.status_code, too_many.json()["errors"][0]["pointer"]) == (422, "#/requests")
    assert post("/v1/placements/home:batch-recommend", json={"requests": []}).status_code == 422
    assert post("/v1/placements/cellar:batch-recommend", json={"requests": [{}]}).status_code == 404


def test_while_a_batch_is_answered_others_have_their_turn(publisher: Publisher, tmp_path: Path) -> None:
    """Whoever asks whether the server lives waits for a few entries at most, and not for the batch."""
    model_id = publisher.publish(draft(1, items=20_000, dim=32))
    met = [{"item_id": f"item-{number}"} for number in range(20)]
    batch = {"requests": [{"k": 50, "session_events": met}] * 40}
    with started(config_of(publisher), tmp_path) as server:
        server.serves(model_id)
        server.ask(k=50, session_events=met)  # the first has things to do that later ones have not
        waits: list[tuple[float, float]] = []
        is_done, is_probing = threading.Event(), threading.Event()

        def probe() -> None:
            with httpx.Client(base_url=server.client.base_url, timeout=PATIENCE) as client:
                while not is_done.is_set():
                    asked = time.monotonic()
                    client.get("/livez").raise_for_status()
                    waits.append((asked, time.monotonic() - asked))
                    is_probing.set()
                    time.sleep(0.01)

        probing = threading.Thread(target=probe)
        probing.start()
        assert is_probing.wait(PATIENCE)
        begun = time.monotonic()
        reply = server.client.post("/v1/placements/home:batch-recommend", json=batch)
        took = time.monotonic() - begun
        is_done.set()
        probing.join()
    assert {outcome["status"] for outcome in reply.json()["replies"]} == {200}
    during = [waited for asked, waited in waits if asked >= begun]
    assert len(during) > 4
    assert max(during) < took / 4
