"""Several requests in one: each is answered, or refused, as it would be alone."""

import numpy as np

from tests.serving.published import draft, personal, popular
from tests.serving.running import Server


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
