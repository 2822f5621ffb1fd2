"""Recommendations over a real socket, held against an oracle."""

from typing import Any

import numpy as np
import pytest

from feature_store.checkpoint import CheckpointDraft
from tests.serving.published import Ranked, folded_in, personal, popular, ranked_for
from tests.serving.running import Server


def test_a_known_person_gets_what_the_oracle_ranks_best(server: Server, content: CheckpointDraft) -> None:
    seen = ["item-0", "item-2", "item-8"]
    server.post(*(event("known", item_id) for item_id in seen)).raise_for_status()

    reply = server.ask(user_id="known", k=12)

    assert_ranked(reply, personal(content, seen, k=12), "personal")
    assert {int(item["item_id"][5:]) % 2 for item in reply["items"]} == {0}  # one half of the checkerboard
    assert reply["privacy_tier"] == "edge-cell"
    assert reply["model_id"] == server.model_id()
    assert reply["meta"]["degraded"] == []
    assert reply["meta"]["unknown_items"] == 0
    assert 0 < reply["meta"]["took_ms"] < 5000


def test_ten_items_come_back_unless_another_number_is_asked_for(server: Server) -> None:
    assert [len(server.ask(**body)["items"]) for body in ({}, {"k": 1}, {"k": 60})] == [10, 1, 60]


def test_fewer_than_k_come_back_only_when_fewer_are_eligible(server: Server) -> None:
    session = [{"item_id": "item-4"}]
    excluded = [f"item-{row}" for row in range(10)]  # item-4 is among them

    assert len(server.ask(k=80, session_events=session)["items"]) == 59
    assert len(server.ask(k=80, session_events=session, exclude_item_ids=excluded)["items"]) == 50
    assert len(server.ask(k=80, exclude_item_ids=excluded)["items"]) == 50


def test_session_events_count_for_one_reply_and_are_not_kept(server: Server, content: CheckpointDraft) -> None:
    session = [{"item_id": "item-1", "event": "view"}, {"item_id": "item-7"}]

    reply = server.ask(session_events=session)

    assert_ranked(reply, personal(content, ["item-1", "item-7"]), "personal")
    assert reply["privacy_tier"] == "ephemeral"
    assert_ranked(server.ask(), popular(content), "popular")


def test_session_events_join_the_stored_history_of_a_person(server: Server, content: CheckpointDraft) -> None:
    server.post(event("shopper", "item-3")).raise_for_status()

    together = server.ask(user_id="shopper", session_events=[{"item_id": "item-6"}])

    assert_ranked(together, personal(content, ["item-3", "item-6"]), "personal")
    assert together["privacy_tier"] == "edge-cell"
    assert_ranked(server.ask(user_id="shopper"), personal(content, ["item-3"]), "personal")


def test_an_ephemeral_vector_meets_the_items_of_its_checkpoint(server: Server, content: CheckpointDraft) -> None:
    vector = folded_in(content, ["item-5", "item-9"]).astype(np.float32)

    reply = server.ask(query_vector=vector.tolist(), checkpoint_id=server.model_id(), exclude_item_ids=["item-11"])

    assert_ranked(reply, ranked_for(content, vector, 10, {"item-11"}), "personal")
    assert reply["privacy_tier"] == "ephemeral"


def test_with_nothing_personal_the_popular_items_come_back_undegraded(server: Server, content: CheckpointDraft) -> None:
    reply = server.ask()

    assert_ranked(reply, popular(content), "popular")
    assert reply["privacy_tier"] == "anonymous"
    assert reply["meta"]["degraded"] == []


@pytest.mark.parametrize(
    ("body", "tier", "unknown"),
    [
        ({"user_id": "stranger"}, "edge-cell", 0),
        ({"session_events": []}, "ephemeral", 0),
        ({"session_events": [{"item_id": "not-of-this-model"}]}, "ephemeral", 1),
        ({"user_id": "stranger", "session_events": [{"item_id": "nor-this"}]}, "edge-cell", 1),
    ],
)
def test_without_a_usable_history_popular_items_come_back_marked_as_a_fallback(
    server: Server, content: CheckpointDraft, body: dict[str, object], tier: str, unknown: int
) -> None:
    reply = server.ask(**body)

    assert_ranked(reply, popular(content), "popular")
    assert reply["privacy_tier"] == tier
    assert reply["meta"]["degraded"] == ["popularity-fallback"]
    assert reply["meta"]["unknown_items"] == unknown


def test_the_zero_vector_of_a_device_without_history_gives_popular_items(
    server: Server, content: CheckpointDraft
) -> None:
    reply = server.ask(query_vector=[0.0] * 8, checkpoint_id=server.model_id())

    assert_ranked(reply, popular(content), "popular")
    assert reply["meta"]["degraded"] == ["popularity-fallback"]


def test_excluded_items_are_gone_and_those_the_model_does_not_know_are_counted(
    server: Server, content: CheckpointDraft
) -> None:
    gone = tuple(item_id for item_id, _ in popular(content, k=3))

    reply = server.ask(exclude_item_ids=[*gone, "never-heard-of", "nor-of-this", "nor-of-this"])

    assert_ranked(reply, popular(content, without=gone), "popular")
    assert reply["meta"]["unknown_items"] == 2


def test_every_reply_has_an_id_of_its_own(server: Server) -> None:
    assert len({server.ask()["recommendation_id"] for _ in range(5)}) == 5


def test_asking_writes_nothing_about_a_person(server: Server) -> None:
    stored = server.metric('hearth_events_total{outcome="stored"}')
    for _ in range(2):
        server.ask(user_id="only-reads", session_events=[{"item_id": "item-1"}])

    assert server.ask(user_id="only-reads")["meta"]["degraded"] == ["popularity-fallback"]
    assert server.metric('hearth_events_total{outcome="stored"}') == stored


def event(user_id: str, item_id: str) -> dict[str, Any]:
    return {"event_id": f"{user_id}-{item_id}", "user_id": user_id, "item_id": item_id, "event": "view"}


def assert_ranked(reply: Any, expected: Ranked, source: str) -> None:
    """The reply holds exactly these items in this order, with their scores and ranks."""
    assert [item["item_id"] for item in reply["items"]] == [item_id for item_id, _ in expected]
    assert [item["score"] for item in reply["items"]] == pytest.approx([score for _, score in expected], abs=1e-4)
    assert [item["rank"] for item in reply["items"]] == list(range(1, len(expected) + 1))
    assert {item["source"] for item in reply["items"]} == {source}
