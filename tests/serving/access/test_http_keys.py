"""Who may ask a server what, over a real socket."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving.access.keyed import KeyFile, bearer, post_events, recommend, view
from tests.serving.published import Publisher, draft, personal, popular
from tests.serving.running import Server, config_of, started, until

CONTENT = draft(1)
SEEN = ["item-2", "item-6"]
PLACEMENTS = {"home": {}, "shelf": {"tenant": "shop"}, "wall": {"tenant": "forum"}}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    keys = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    keys.add("reader", "recommend")
    keys.add("writer", "ingest")
    keys.add("chief", "recommend", "ingest", "admin")
    keys.add("scraper", "metrics")
    keys.add("shop", "recommend", "ingest", "admin", tenant="shop")
    keys.add("forum", "recommend", "ingest", tenant="forum")
    keys.add("slow", "recommend", per_second=0.001, burst=2)
    keys.add("daily", "recommend", per_day=2)
    return keys


@pytest.fixture(scope="module")
def guarded(keys: KeyFile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("guarded")
    publisher = Publisher(folder)
    model_id = publisher.publish(CONTENT)
    config = config_of(publisher, store=folder / "store.sqlite", api_keys=keys.file, placements=PLACEMENTS)
    with started(config, folder) as server:
        server.serves(model_id)
        yield server


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/version", "/openapi.json", "/docs"])
def test_what_everybody_may_know_needs_no_key(guarded: Server, path: str) -> None:
    assert guarded.client.get(path).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer hearth_wrong"},
        {"authorization": "Basic aGVhcnRoOmhlYXJ0aA=="},
        {"authorization": "Bearer kl\u00fc"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/placements/home:recommend"),
        ("POST", "/v1/events"),
        ("GET", "/v1/items?vertical=films"),
        ("GET", "/metrics"),
        ("GET", "/v1/nowhere"),
    ],
)
def test_without_a_good_key_nothing_else_is_answered_and_a_problem_says_what_is_wanted(
    guarded: Server, method: str, path: str, headers: dict[str, str]
) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    refused = guarded.client.request(method, path, headers=encoded, json={} if method == "POST" else None)
    assert (refused.status_code, refused.json()["type"]) == (401, "/problems/unauthorized")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["www-authenticate"] == 'Bearer realm="hearth"'
    assert "x-request-id" in refused.headers


def test_a_key_named_twice_is_none(guarded: Server, keys: KeyFile) -> None:
    headers = [("authorization", f"Bearer {keys.secrets['reader']}")] * 2
    refused = guarded.client.post("/v1/placements/home:recommend", json={}, headers=headers)
    assert refused.status_code == 401


@pytest.mark.parametrize(
    ("name", "method", "path", "status"),
    [
        ("reader", "POST", "/v1/placements/home:recommend", 200),
        ("reader", "POST", "/v1/events", 403),
        ("writer", "POST", "/v1/placements/home:recommend", 403),
        ("writer", "POST", "/v1/events", 422),
        ("reader", "GET", "/v1/items?vertical=films", 403),
        ("chief", "GET", "/v1/items?vertical=films", 404),
        ("chief", "GET", "/metrics", 403),
        ("scraper", "GET", "/metrics", 200),
        ("scraper", "POST", "/v1/placements/home:recommend", 403),
        ("chief", "GET", "/v1/nowhere", 404),
        ("reader", "GET", "/v1/nowhere", 403),
        ("shop", "GET", "/v1/items?vertical=films", 403),
        ("shop", "GET", "/v1/nowhere", 403),
        ("shop", "POST", "/v1/placements/shelf:recommend", 200),
    ],
)
def test_a_key_does_what_its_scopes_say_and_what_is_everybodys_only_without_a_tenant(
    guarded: Server, keys: KeyFile, name: str, method: str, path: str, status: int
) -> None:
    body = {} if method == "POST" else None
    response = guarded.client.request(method, path, json=body, headers=bearer(keys.secrets[name]))
    assert response.status_code == status
    if status == 403:
        assert response.json()["type"] == "/problems/forbidden"
    if status == 403 and name == "reader":
        assert 'error="insufficient_scope"' in response.headers["www-authenticate"]


def test_two_tenants_people_of_one_id_are_two_people_and_neither_is_the_servers_own(
    guarded: Server, keys: KeyFile
) -> None:
    shop, forum, chief = (keys.secrets[name] for name in ("shop", "forum", "chief"))
    post_events(guarded, shop, *(view("anna", item) for item in SEEN)).raise_for_status()
    known = [item_id for item_id, _ in personal(CONTENT, SEEN)]
    anybody = [item_id for item_id, _ in popular(CONTENT)]
    asked = [(shop, "shelf", known), (forum, "wall", anybody), (chief, "home", anybody)]
    for secret, placement, expected in asked:
        reply = recommend(guarded, secret, placement, user_id="anna").json()
        assert [item["item_id"] for item in reply["items"]] == expected
    for forged in ("\x1fshop\x1fanna", "shop\x1fanna", "\x1fanna"):
        reply = recommend(guarded, chief, user_id=forged).json()
        assert [item["item_id"] for item in reply["items"]] == anybody


def test_a_tenant_finds_its_own_placements_alone(guarded: Server, keys: KeyFile) -> None:
    own = {"shop": "shelf", "forum": "wall", "chief": "home"}
    for name, its_own in own.items():
        for placement in PLACEMENTS:
            found = recommend(guarded, keys.secrets[name], placement).status_code
            assert found == (200 if placement == its_own else 404)


def test_an_id_too_long_beside_its_tenant_is_refused_by_its_place(guarded: Server, keys: KeyFile) -> None:
    refused = recommend(guarded, keys.secrets["shop"], "shelf", user_id="x" * 251)
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"pointer": "#/user_id", "detail": "a user id has at most 250 characters here; got 251"}
    ]
    events = post_events(guarded, keys.secrets["shop"], view("x" * 251, "item-1"), view("y", "item-1"))
    assert [event["status"] for event in events.json()["events"]] == [422, 201]


def test_beyond_its_rate_and_its_quota_a_key_is_told_when_to_come_back(guarded: Server, keys: KeyFile) -> None:
    for name, problem, longest in (("slow", "too-many-requests", 1000), ("daily", "quota-used-up", 86_400)):
        statuses = [recommend(guarded, keys.secrets[name]).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = recommend(guarded, keys.secrets[name])
        assert refused.json()["type"] == f"/problems/{problem}"
        assert 1 <= int(refused.headers["retry-after"]) <= longest
        assert recommend(guarded, keys.secrets["reader"]).status_code == 200
    metrics = guarded.client.get("/metrics", headers=bearer(keys.secrets["scraper"])).text
    assert 'hearth_turned_away_total{reason="too-many-requests"} 2.0' in metrics
    counted = 'hearth_requests_total{placement="home",route="/v1/placements/{placement}:recommend",status="429"} 4.0'
    assert counted in metrics


def test_no_key_stands_in_the_log_or_in_a_metric(guarded: Server, keys: KeyFile) -> None:
    for secret in keys.secrets.values():
        recommend(guarded, secret)
        recommend(guarded, secret, "attic")
    metrics = guarded.client.get("/metrics", headers=bearer(keys.secrets["scraper"])).text
    for secret in keys.secrets.values():
        assert secret not in guarded.log() + metrics
        assert secret.removeprefix("hearth_")[:16] not in guarded.log() + metrics


def test_a_new_key_opens_and_one_taken_out_does_not_without_a_restart(publisher: Publisher, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    old = keys.add("old", "recommend")
    model_id = publisher.publish(CONTENT)
    with started(config_of(publisher, api_keys=keys.file, open_metrics=True), tmp_path) as server:
        server.serves(model_id)
        assert recommend(server, old).status_code == 200
        new = keys.add("new", "recommend")
        until(lambda: recommend(server, new).status_code == 200, server.log)
        keys.remove("old")
        until(lambda: recommend(server, old).status_code == 401, server.log)
        assert recommend(server, new).status_code == 200
        keys.file.write_text("{")
        until(
            lambda: (
                server.client.get("/readyz").json()["checks"]["api-keys"] == {"status": "stale", "reason": "BadInput"}
            ),
            server.log,
        )
        assert recommend(server, new).status_code == 200
        assert server.metric('hearth_file_loads_total{file="api-keys",outcome="failure"}') == 1


def test_the_entries_of_a_batch_count_each_for_a_keys_rate_and_quota(keys: KeyFile, guarded: Server) -> None:
    def batch(name: str, entries: int) -> httpx.Response:
        address, headers = "/v1/placements/home:batch-recommend", bearer(keys.secrets[name])
        return guarded.client.post(address, json={"requests": [{}] * entries}, headers=headers)

    for name, limits in (("slow-batches", {"per_second": 0.001, "burst": 2}), ("daily-batches", {"per_day": 5})):
        bearing = bearer(keys.add(name, "recommend", **limits))
        # What a key may not ask is refused before it is counted: 401 until the file has been read again, then 403.
        until(lambda bearing=bearing: guarded.client.get("/v1/models", headers=bearing).status_code == 403, guarded.log)
    assert batch("slow-batches", 4).status_code == 207
    owed = batch("slow-batches", 1)
    assert (owed.status_code, owed.json()["type"]) == (429, "/problems/too-many-requests")
    assert 2000 < int(owed.headers["retry-after"]) <= 3000  # two are owed, and one is wanted, at one in 1000 s

    refused = batch("daily-batches", 6)
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/quota-used-up")
    assert batch("daily-batches", 4).status_code == 207  # the one that was refused is the fifth
    assert batch("daily-batches", 1).status_code == 429
