"""A noised vector over HTTP: what its device states of it is said back, and changes nothing else."""

from typing import Any

import numpy as np
import pytest

from feature_store.checkpoint import CheckpointDraft
from feature_store.embedding import UserEmbedding
from feature_store.noised_vector import noised_once
from feature_store.vector_noise import NoiseSettings, vector_noise
from hearth.client import Client
from tests.serving.published import folded_in, ranked_for
from tests.serving.running import Server

NOISE = {"mechanism": "privunit-g", "epsilon": 8.0}


def body_of(server: Server, content: CheckpointDraft, **more: Any) -> dict[str, Any]:
    vector = folded_in(content, ["item-5", "item-9"]).astype(np.float32).tolist()
    return {"query_vector": vector, "checkpoint_id": server.model_id(), **more}


@pytest.mark.parametrize("noise", [NOISE, {"mechanism": "subset-selection", "epsilon": 0.5}])
def test_the_noise_that_was_stated_is_said_back_and_the_list_is_that_of_the_vector(
    server: Server, content: CheckpointDraft, noise: dict[str, Any]
) -> None:
    plain = server.ask(**body_of(server, content))
    noised = server.ask(**body_of(server, content, noise=noise))

    assert noised["meta"]["noise"] == noise
    assert noised["privacy_tier"] == "ephemeral"
    assert noised["items"] == plain["items"]
    assert "noise" not in plain["meta"]


@pytest.mark.parametrize("who", [{}, {"user_id": "anna"}, {"session_events": [{"item_id": "item-1"}]}])
def test_noise_without_a_vector_is_refused(server: Server, who: dict[str, Any]) -> None:
    refused = server.recommend(**who, noise=NOISE)

    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"pointer": "#/noise", "detail": "only a query_vector is noised"}]


@pytest.mark.parametrize(
    ("noise", "pointer"),
    [
        ({"mechanism": "privunit-g"}, "#/noise/epsilon"),
        ({"mechanism": "privunit-g", "epsilon": 0}, "#/noise/epsilon"),
        ({"mechanism": "privunit-g", "epsilon": 64.5}, "#/noise/epsilon"),
        ({"mechanism": "privunit-g", "epsilon": "8"}, "#/noise/epsilon"),
        ({"mechanism": "laplace", "epsilon": 8}, "#/noise/mechanism"),
        ({**NOISE, "delta": 0.1}, "#/noise/delta"),
    ],
)
def test_noise_that_no_device_of_ours_makes_is_refused(
    server: Server, content: CheckpointDraft, noise: dict[str, Any], pointer: str
) -> None:
    refused = server.recommend(**body_of(server, content, noise=noise))

    assert refused.status_code == 422
    assert [fault["pointer"] for fault in refused.json()["errors"]] == [pointer]


def test_each_request_of_a_batch_has_the_noise_that_it_stated(server: Server, content: CheckpointDraft) -> None:
    bodies = [body_of(server, content, noise=NOISE), body_of(server, content), {"noise": NOISE}]

    outcomes = server.client.post("/v1/placements/home:batch-recommend", json={"requests": bodies}).json()["replies"]

    assert [outcome["status"] for outcome in outcomes] == [200, 200, 422]
    assert [outcome["reply"]["meta"].get("noise") for outcome in outcomes[:2]] == [NOISE, None]
    assert outcomes[2]["problem"]["errors"][0]["pointer"] == "#/requests/2/noise"


def test_what_a_device_noised_is_asked_with_by_the_client_and_ranked_as_it_is(
    server: Server, content: CheckpointDraft
) -> None:
    items = content.item_vectors
    noise = vector_noise(
        NoiseSettings("subset-selection", 4.0), server.model_id(), items.T @ items, items.T @ content.item_counts / 20
    )
    person = folded_in(content, ["item-5", "item-9"]).astype(np.float32)
    noised = noised_once(noise, UserEmbedding(person, server.model_id())).noised

    with Client(str(server.client.base_url)) as hearth:
        reply = hearth.recommend("home", **noised.asked(), k=7)

    assert [item.item_id for item in reply.items] == [name for name, _ in ranked_for(content, noised.vector, 7, set())]
    assert reply.meta.noise is not None
    assert (reply.meta.noise.mechanism, reply.meta.noise.epsilon) == ("subset-selection", 4.0)
    assert reply.privacy_tier == "ephemeral"
