"""Events over a real socket: stored for good, each judged by itself, in the very next reply."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from feature_store.checkpoint import CheckpointDraft
from feature_store.events import History
from serving.request import Person
from tests.serving.published import Publisher, draft, folded_in, personal, popular
from tests.serving.running import Server, config_of, opened, running, started


def event(user_id: str, item_id: str, /, **changes: object) -> dict[str, Any]:
    return {"event_id": f"of-{item_id}", "user_id": user_id, "item_id": item_id, "event": "view"} | changes


def ids(reply: Any) -> list[str]:
    return [item["item_id"] for item in reply["items"]]


def statuses(response: Any) -> list[int]:
    assert response.status_code == 207, response.text
    return [outcome["status"] for outcome in response.json()["events"]]


def history_in(store: Path, user_id: str) -> History:
    async def read() -> History:
        async with opened(store) as stores:
            return await stores.events.get(user_id)

    return asyncio.run(read())


def test_each_event_changes_the_next_reply_and_its_item_is_gone(server: Server, content: CheckpointDraft) -> None:
    seen: list[str] = []
    before = ids(server.ask(user_id="walker"))
    for _ in range(4):
        seen.append(before[0])
        assert statuses(server.post(event("walker", before[0]))) == [201]
        after = ids(server.ask(user_id="walker"))
        assert before[0] not in after
        assert after == [item_id for item_id, _ in personal(content, seen)]
        assert after != before
        before = after


def test_an_event_sent_again_is_known_and_changes_nothing(server: Server) -> None:
    sent = event("again", "item-4", timestamp=5.0)
    assert statuses(server.post(sent)) == [201]
    before = ids(server.ask(user_id="again"))

    assert statuses(server.post(sent, event("again", "item-9", event_id="of-item-4"))) == [200, 200]
    assert ids(server.ask(user_id="again")) == before


def test_the_same_event_twice_in_a_batch_is_stored_once(server: Server) -> None:
    assert statuses(server.post(event("twice", "item-4"), event("twice", "item-4"))) == [201, 200]


def test_people_of_one_batch_are_folded_in_each_from_their_own_events(server: Server, content: CheckpointDraft) -> None:
    assert statuses(server.post(event("even", "item-4"), event("odd", "item-5"))) == [201, 201]
    for user_id, item_id in (("even", "item-4"), ("odd", "item-5")):
        assert ids(server.ask(user_id=user_id)) == [name for name, _ in personal(content, [item_id])]


@pytest.mark.parametrize(
    ("bad", "pointer"),
    [
        (event("batch", "item-1", user_id=""), "#/events/1/user_id"),
        (event("batch", "item-1", user_id=7), "#/events/1/user_id"),
        (event("batch", "item-1", item_id="x" * 257), "#/events/1/item_id"),
        (event("batch", "item-1", timestamp=-1), "#/events/1/timestamp"),
        (event("batch", "item-1", timestamp="now"), "#/events/1/timestamp"),
        (event("batch", "item-1", value="5"), "#/events/1/value"),
        (event("batch", "item-1", colour="red"), "#/events/1/colour"),
        (event("batch", "item-1", **{"a/b~c": 1}), "#/events/1/a~1b~0c"),
        ({"event_id": "e", "user_id": "batch", "item_id": "item-1"}, "#/events/1/event"),
        ("no event at all", "#/events/1"),
    ],
)
def test_one_bad_event_is_refused_with_its_place_and_the_others_are_stored(
    server: Server, bad: object, pointer: str
) -> None:
    user_id = f"batch-{pointer}-{bad!r}"[:200]
    response = server.post(event(user_id, "item-2"), bad, event(user_id, "item-3"))

    assert statuses(response) == [201, 422, 201]
    outcome = response.json()["events"][1]
    assert outcome["index"] == 1
    assert outcome["problem"]["type"] == "/problems/invalid-request"
    assert [fault["pointer"] for fault in outcome["problem"]["errors"]] == [pointer]


def test_a_batch_of_bad_events_alone_stores_nothing(server: Server) -> None:
    assert statuses(server.post({"user_id": "nobody"})) == [422]


def test_an_event_of_an_item_that_the_model_does_not_know_is_stored(server: Server, content: CheckpointDraft) -> None:
    assert statuses(server.post(event("early", "of-tomorrow"))) == [201]
    assert ids(server.ask(user_id="early")) == [item_id for item_id, _ in popular(content)]
    assert statuses(server.post(event("early", "of-tomorrow"))) == [200]


def test_an_item_that_is_hidden_is_gone_and_no_longer_counts(server: Server, content: CheckpointDraft) -> None:
    assert statuses(server.post(event("picky", "item-4"), event("picky", "item-7"))) == [201, 201]
    hide = event("picky", "item-7", event_id="no more", event="hide", vertical="films")
    assert statuses(server.post(hide)) == [201]
    expected = [item_id for item_id, _ in personal(content, ["item-4"], without=("item-7",))]
    assert ids(server.ask(user_id="picky")) == expected


def test_an_item_hidden_in_a_session_is_gone_and_does_not_count(server: Server, content: CheckpointDraft) -> None:
    session = [{"item_id": "item-7"}, {"item_id": "item-4"}, {"item_id": "item-7", "event": "hide"}]
    expected = [item_id for item_id, _ in personal(content, ["item-4"], without=("item-7",))]
    assert ids(server.ask(session_events=session)) == expected


def test_an_event_far_ahead_of_the_clock_is_refused_alone(server: Server) -> None:
    now = time.time()
    response = server.post(event("early-bird", "item-1", timestamp=now + 90_000), event("early-bird", "item-2"))
    assert statuses(response) == [422, 201]
    [fault] = response.json()["events"][0]["problem"]["errors"]
    assert fault["pointer"] == "#/events/0/timestamp"
    assert "at most 86400 s ahead of the server's clock" in fault["detail"]


def test_an_event_without_a_time_happened_when_it_came(publisher: Publisher, tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    with started(config_of(publisher, store=store), tmp_path) as server:
        before = time.time()
        told = event("anna", "item-2", timestamp=5.5, value=3.0, vertical="films")
        server.post(event("anna", "item-1"), told).raise_for_status()
        after = time.time()

    [past, now] = history_in(store, "anna").events
    assert (past.item_id, past.timestamp, past.value, past.vertical) == ("item-2", 5.5, 3.0, "films")
    assert before <= now.timestamp <= after
    assert (now.value, now.vertical) == (None, None)


def test_after_an_event_the_stored_embedding_is_that_of_the_whole_history(publisher: Publisher, tmp_path: Path) -> None:
    store, model_id = tmp_path / "store.sqlite", publisher.publish(draft(1))
    with started(config_of(publisher, store=store), tmp_path) as server:
        server.serves(model_id)
        for item_id in ("item-1", "item-4"):
            server.post(event("anna", item_id)).raise_for_status()

    async def stored() -> Person:
        async with opened(store) as stores:
            return Person(await stores.events.met("anna"), await stores.embeddings.get("anna", model_id))

    met, embedding, _ = asyncio.run(stored())
    assert embedding is not None
    assert embedding.watermark == met.watermark
    assert embedding.vector == pytest.approx(folded_in(draft(1), ["item-1", "item-4"]), abs=1e-5)


def test_an_acknowledged_event_outlives_a_killed_server(publisher: Publisher, tmp_path: Path) -> None:
    config = config_of(publisher, store=tmp_path / "store.sqlite")
    model_id = publisher.publish(draft(1))
    with running(config, tmp_path) as server:
        assert statuses(server.post(event("anna", "item-1"))) == [201]
        server.process.kill()
        server.process.wait()
    with started(config, tmp_path) as server:
        server.serves(model_id)
        assert ids(server.ask(user_id="anna")) == [item_id for item_id, _ in personal(draft(1), ["item-1"])]


def test_events_are_stored_while_there_is_no_model(publisher: Publisher, tmp_path: Path) -> None:
    with started(config_of(publisher), tmp_path) as server:
        assert statuses(server.post(event("anna", "item-1"))) == [201]
        server.serves(publisher.publish(draft(1)))
        assert ids(server.ask(user_id="anna")) == [item_id for item_id, _ in personal(draft(1), ["item-1"])]
        assert (
            "kept in memory"
            in server.logged("no store is set: what people do is kept in memory, and forgotten when this process ends")[
                0
            ]["message"]
        )


def test_a_store_that_fails_is_said_and_served_around_until_it_is_back(publisher: Publisher, tmp_path: Path) -> None:
    store, content = tmp_path / "store.sqlite", draft(1)
    model_id = publisher.publish(content)
    with started(config_of(publisher, store=store), tmp_path) as server:
        server.serves(model_id)
        server.post(event("anna", "item-1")).raise_for_status()
        rename(store, "people", "away")

        failed = server.post(event("anna", "item-2"), {"bad": "event"})
        assert failed.status_code == 503
        assert failed.headers["content-type"] == "application/problem+json"
        assert failed.headers["retry-after"] == "1"
        assert failed.json()["type"] == "/problems/store-unavailable"

        degraded = server.ask(user_id="anna")
        assert ids(degraded) == [item_id for item_id, _ in popular(content)]
        assert degraded["meta"]["degraded"] == ["store-unavailable"]

        ready = server.client.get("/readyz")
        assert ready.status_code == 200  # taken out of service, it could not even answer with popular items
        assert ready.json()["checks"]["store"] == {"status": "unavailable"}
        assert server.client.get("/livez").status_code == 200
        assert server.metric('hearth_degraded_total{reason="store-unavailable"}') == 1
        assert server.metric('hearth_events_total{outcome="failed"}') == 1

        rename(store, "away", "people")
        assert statuses(server.post(event("anna", "item-2"))) == [201]
        assert ids(server.ask(user_id="anna")) == [name for name, _ in personal(content, ["item-1", "item-2"])]
        assert server.client.get("/readyz").json()["checks"]["store"] == {"status": "ok"}


def test_a_store_that_another_process_holds_fails_in_bounded_time(publisher: Publisher, tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    with started(config_of(publisher, store=store, store_timeout_seconds=0.4), tmp_path) as server:
        server.post(event("anna", "item-1")).raise_for_status()
        with closing(sqlite3.connect(store, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert server.post(event("anna", "item-2")).status_code == 503
            other.execute("ROLLBACK")
        assert statuses(server.post(event("anna", "item-1"), event("anna", "item-2"))) == [200, 201]


def rename(store: Path, before: str, after: str) -> None:
    """A failure that is real: the table is not there."""
    with closing(sqlite3.connect(store, timeout=10.0)) as connection:
        connection.execute(f"ALTER TABLE {before} RENAME TO {after}")
        connection.commit()
