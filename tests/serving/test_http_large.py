"""Bodies as large as allowed, and wrong in as many places as they can be: a short reply, in a short time."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.serving.published import Publisher
from tests.serving.running import Server, config_of, started, until

HERE = "/v1/placements/home:recommend"
LONG = "x" * 500_000


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the limits that nobody changed."""
    folder = tmp_path_factory.mktemp("roomy")
    with started(config_of(Publisher(folder)), folder) as server:
        yield server


def unknown(count: int) -> str:
    return "{" + ",".join(f'"f{number}":1' for number in range(count)) + "}"


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        (HERE, '{"query_vector":[' + "null," * 200_000 + "1]}", 422),
        (HERE, '{"query_vector":[' + "1," * 400_000 + "1]}", 422),
        (HERE, '{"exclude_item_ids":[' + "0," * 400_000 + "0]}", 422),
        (HERE, '{"session_events":[' + "{}," * 300_000 + "{}]}", 422),
        (HERE, '{"session_events":[' + unknown(90_000) + "]}", 422),
        (HERE, unknown(90_000), 422),
        (HERE, f'{{"{LONG}":1,"k":0}}', 422),
        ("/v1/events", '{"events":[' + unknown(90_000) + "]}", 207),
        ("/v1/events", f'{{"events":[{{"{LONG}":1}}]}}', 207),
        ("/v1/events", '{"events":[' + "0," * 400_000 + "0]}", 422),
        ("/v1/events", '{"events":[' + "[" * 500 + "]" * 500 + "]}", 422),
    ],
    ids=[
        "nulls",
        "vector",
        "excluded",
        "session",
        "session-fields",
        "fields",
        "name",
        "event",
        "event-name",
        "events",
        "deep",
    ],
)
def test_a_large_body_full_of_faults_is_answered_shortly_while_others_are(
    roomy: Server, path: str, content: str, status: int
) -> None:
    waited: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            begun = time.monotonic()
            assert roomy.client.get("/livez").status_code == 200
            waited.append(time.monotonic() - begun)

    asking = threading.Thread(target=ask)
    with httpx.Client(base_url=roomy.client.base_url) as other:
        asking.start()
        try:
            until(lambda: waited, roomy.log)
            begun = time.monotonic()
            response = other.post(path, content=content, headers={"content-type": "application/json"})
            seconds = time.monotonic() - begun
        finally:
            done.set()
            asking.join()
    assert response.status_code == status, response.text[:500]
    assert len(response.content) < 5_000
    assert seconds < 2.0
    assert max(waited) < 1.0


def test_a_problem_names_twenty_faults_and_counts_the_rest(roomy: Server) -> None:
    response = roomy.client.post(HERE, json={f"f{number}": 1 for number in range(32)})
    errors = response.json()["errors"]
    assert [fault["pointer"] for fault in errors[:20]] == [f"#/f{number}" for number in range(20)]
    assert errors[20:] == [{"pointer": "#", "detail": "and 12 more"}]


def test_a_batch_wrong_in_every_event_says_so_of_each(roomy: Server) -> None:
    sent = {f"f{number}": 1 for number in range(28)}
    begun = time.monotonic()
    response = roomy.post(*[sent] * 1000)
    assert time.monotonic() - begun < 2.0
    outcomes = response.json()["events"]
    assert [outcome["status"] for outcome in outcomes] == [422] * 1000
    assert outcomes[999]["problem"]["errors"][-1] == {"pointer": "#/events/999", "detail": "and 12 more"}


def test_a_vector_has_4096_numbers_at_most(roomy: Server) -> None:
    vector = {"query_vector": [1.0] * 4096, "checkpoint_id": "c"}
    assert roomy.recommend(**vector).json()["type"] == "/problems/no-model"
    vector["query_vector"] = [1.0] * 4097
    assert roomy.recommend(**vector).json()["errors"] == [
        {"pointer": "#/query_vector", "detail": "at most 4096 of them"}
    ]
