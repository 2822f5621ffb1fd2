"""Stages over HTTP: what an operator does with a checkpoint, the server follows and the trail tells."""

from pathlib import Path

from tests.serving.published import Publisher, draft
from tests.serving.running import config_of, started, until


def test_a_checkpoint_is_tried_promoted_and_rolled_back(publisher: Publisher, tmp_path: Path) -> None:
    first, second = publisher.publish(draft(1)), publisher.publish(draft(2), promote=False)
    with started(config_of(publisher), tmp_path) as server:
        server.serves(first)

        def post(model_id: str, verb: str, reason: str = "") -> tuple[int, dict[str, object]]:
            reply = server.client.post(f"/v1/models/{model_id}:{verb}", json={"reason": reason})
            return reply.status_code, reply.json()

        def ready(model_id: str) -> dict[str, object]:
            found: dict[str, object] = server.client.get(f"/v1/models/{model_id}/ready").json()
            return found

        assert post(second, "shadow") == (200, {"production": first, "shadow": second, "previous": []})
        until(lambda: ready(second) == {"model_id": second, "ready": True, "stage": "shadow"}, server.log)
        listed = {model["model_id"]: model for model in server.client.get("/v1/models").json()["models"]}
        assert {name: model["stage"] for name, model in listed.items()} == {first: "production", second: "shadow"}
        assert listed[second]["items"] == 60
        assert post(second, "promote", "better on trial")[0] == 200
        until(lambda: ready(second).get("stage") == "production", server.log)
        assert ready(first) == {"model_id": first, "ready": False}
        status, problem = post(first, "roll-back")
        assert (status, problem["type"]) == (409, "/problems/registry-conflict")
        assert post(second, "roll-back") == (200, {"production": first, "shadow": None, "previous": []})
        until(lambda: server.model_id() == first, server.log)
        status, problem = post(first, "roll-back")
        assert (status, problem["type"]) == (409, "/problems/nothing-promoted")
        status, problem = post(first, "shadow")
        assert (status, problem["type"]) == (409, "/problems/still-in-production")
        status, problem = post("r0009-none", "promote")
        assert (status, problem["type"]) == (404, "/problems/unknown-model")
        file = publisher.folder / "checkpoints" / second / "item_vectors.safetensors"
        file.write_bytes(file.read_bytes()[:-1] + b"!")
        status, problem = post(second, "promote")
        assert (status, problem["type"]) == (409, "/problems/unusable-model")
    changes = [entry.change for entry in publisher.registry.audit()]
    assert [(change.who, change.what, change.why) for change in changes if change][:3] == [
        ("api key none", "roll back", ""),
        ("api key none", "promote", "better on trial"),
        ("api key none", "promote", ""),
    ]
