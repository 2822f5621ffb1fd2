"""What a server says of itself: alive, ready, measured, named."""

import importlib.metadata
import json
from pathlib import Path

import pytest

from tests.serving.published import Publisher, draft, popular
from tests.serving.running import Server, config_of, started, until


def test_a_server_without_a_model_lives_is_not_ready_and_serves_once_one_is_promoted(
    publisher: Publisher, tmp_path: Path
) -> None:
    content = draft(1)
    with started(config_of(publisher), tmp_path) as server:
        assert server.client.get("/livez").json() == {"status": "ok"}
        [warned] = server.logged("no model: requests are answered once a checkpoint is promoted")
        assert (warned["level"], warned["reason"]) == ("warning", "nothing-published")
        assert warned["registry"].endswith(str(publisher.folder))
        ready = server.client.get("/readyz")
        assert (ready.status_code, ready.headers["content-type"]) == (503, "application/problem+json")
        assert ready.json()["type"] == "/problems/not-ready"
        missing = {"status": "missing", "reason": "nothing-published"}
        assert ready.json()["checks"] == {"model": missing, "store": {"status": "ok"}}
        refused = server.recommend()
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/no-model")
        assert refused.headers["retry-after"] == "1"
        assert server.client.get("/version").json()["model_id"] is None

        model_id = publisher.publish(content, promote=False)
        missing["reason"] = "nothing-promoted"
        until(lambda: server.client.get("/readyz").json()["checks"]["model"] == missing, server.log)
        publisher.registry.promote(model_id)

        server.serves(model_id)
        assert server.client.get("/readyz").json() == {
            "status": "ok",
            "checks": {"model": {"status": "ok", "model_id": model_id}, "store": {"status": "ok"}},
        }
        assert [item["item_id"] for item in server.ask()["items"]] == [item_id for item_id, _ in popular(content)]


def test_the_version_is_that_of_the_package_and_of_the_model(server: Server) -> None:
    model_id = server.ask()["model_id"]
    expected = {"hearth": importlib.metadata.version("hearth-recommender"), "model_id": model_id}
    assert server.client.get("/version").json() == expected
    assert server.metric(f'hearth_model_info{{model_id="{model_id}",stage="production"}}') == 1


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        (
            "POST",
            "/v1/placements/home:recommend",
            'placement="home",route="/v1/placements/{placement}:recommend",status="200"',
        ),
        (
            "POST",
            "/v1/placements/attic:recommend",
            'placement="",route="/v1/placements/{placement}:recommend",status="404"',
        ),
        (
            "GET",
            "/v1/placements/home:recommend",
            'placement="home",route="/v1/placements/{placement}:recommend",status="405"',
        ),
        ("GET", "/livez", 'placement="",route="/livez",status="200"'),
        ("GET", "/wherever", 'placement="",route="unknown",status="404"'),
    ],
)
def test_requests_are_counted_and_timed_by_route_placement_and_status(
    server: Server, method: str, path: str, labels: str
) -> None:
    counted = f"hearth_requests_total{{{labels}}}"
    timed = f"hearth_request_seconds_count{{{labels}}}"
    before = server.metric(counted), server.metric(timed)
    server.client.request(method, path, json={} if method == "POST" else None)
    assert (server.metric(counted), server.metric(timed)) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/version", "/metrics", "/nowhere"])
def test_head_is_answered_like_get_without_a_body(server: Server, path: str) -> None:
    got, head = server.client.get(path), server.client.head(path)
    assert (head.status_code, head.headers["content-type"]) == (got.status_code, got.headers["content-type"])
    if path != "/metrics":  # it has grown by then
        assert head.headers["content-length"] == got.headers["content-length"]
    assert head.content == b""
    assert server.client.get(path).content  # the same connection still has one reply to one request


def test_items_fallbacks_events_and_fold_ins_are_counted_by_what_became_of_them(server: Server) -> None:
    event = {"event_id": "e", "user_id": "counted", "item_id": "item-1", "event": "view"}
    cases = [
        ('hearth_candidates_total{source="popular"}', lambda: server.ask(k=7), 7),
        (
            'hearth_candidates_total{source="personal"}',
            lambda: server.ask(k=3, session_events=[{"item_id": "item-1"}]),
            3,
        ),
        ('hearth_degraded_total{reason="popularity-fallback"}', lambda: server.ask(user_id="uncounted"), 1),
        ('hearth_events_total{outcome="stored"}', lambda: server.post(event), 1),
        ('hearth_events_total{outcome="known"}', lambda: server.post(event), 1),
        ('hearth_events_total{outcome="refused"}', lambda: server.post({}, event), 1),
        ('hearth_fold_ins_total{outcome="done"}', lambda: server.post(event | {"event_id": "f"}), 1),
    ]
    for sample, act, difference in cases:
        before = server.metric(sample)
        act()
        assert server.metric(sample) - before == difference, sample


def test_the_interface_is_described(server: Server) -> None:
    described = server.client.get("/openapi.json").json()
    kept = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
    assert set(described["paths"]) == set(kept["paths"])
    assert {"/v1/placements/{placement}:recommend", "/v1/events", "/livez", "/readyz", "/metrics"} <= set(kept["paths"])
    assert {"RecommendBody", "RecommendReply", "EventsReply"} <= set(described["components"]["schemas"])
