"""Trials, experiments and attribution over HTTP, on a real server."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.serving.on_trial import PEOPLE, loaded, on_trial
from tests.serving.published import Publisher, draft, popular
from tests.serving.running import Server, config_of, started, until


def event(recommendation_id: str, item_id: str, kind: str, user_id: str = "viewer") -> dict[str, Any]:
    named = {"event": kind, "recommendation_id": recommendation_id, "item_id": item_id}
    return named | {"event_id": f"{kind}-{item_id}", "user_id": user_id}


def followed(server: Server, reply: Any, *kinds: str, viewer: str = "") -> None:
    """Send an event of each kind for each item of a reply, by somebody else each time."""
    named = reply["recommendation_id"]
    for kind in kinds:
        events = (event(named, item["item_id"], kind, f"{viewer}-{named}-{item['item_id']}") for item in reply["items"])
        server.post(*events).raise_for_status()


def test_a_share_of_people_is_answered_by_the_model_on_trial_and_always_the_same_people(
    publisher: Publisher, tmp_path: Path
) -> None:
    with on_trial(publisher, tmp_path, {"share": 0.5, "compared": 1.0}) as (server, first, second):
        answered = {person: server.ask(user_id=person)["model_id"] for person in PEOPLE}
        assert set(answered.values()) == {first, second}
        assert {person: server.ask(user_id=person)["model_id"] for person in PEOPLE} == answered
        mine = next(person for person, model_id in answered.items() if model_id == second)
        names = [item["item_id"] for item in server.ask(user_id=mine)["items"]]
        assert names == [name for name, _ in popular(draft(2))]

        assert server.ask(user_id=mine, model_id=first)["model_id"] == first
        assert server.ask(model_id=second)["model_id"] == second
        refused = server.recommend(model_id="r0009-none")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/model-not-loaded")
        assert server.metric("hearth_trial_overlap_count") > 0

        publisher.registry.promote(second, "candidate")
        until(lambda: server.ask(user_id=mine)["model_id"] == first, server.log)


def test_a_vector_is_answered_by_the_checkpoint_that_it_names_whoever_the_trial_would_choose(
    publisher: Publisher, tmp_path: Path
) -> None:
    first, second, neither = (publisher.publish(draft(seed), promote=seed == 1) for seed in (1, 2, 3))
    publisher.registry.promote(second, "shadow")
    with started(config_of(publisher, trial={"share": 0.5}), tmp_path) as server:
        server.serves(first)
        loaded(server, second)
        for model_id in (first, second):
            sent = {"query_vector": [0.1] * 8, "checkpoint_id": model_id}
            assert {server.ask(**sent)["model_id"] for _ in range(20)} == {model_id}
            assert server.ask(**sent, model_id=model_id)["model_id"] == model_id
            other = server.recommend(**sent, model_id=second if model_id == first else first)
            assert (other.status_code, other.json()["type"]) == (409, "/problems/checkpoint-mismatch")
        for _ in range(20):
            refused = server.recommend(query_vector=[0.1] * 8, checkpoint_id=neither)
            assert (refused.status_code, refused.json()["live_checkpoint_id"]) == (409, first)


def test_clicks_are_counted_where_their_reply_came_from_and_a_model_that_nobody_clicks_is_stopped(
    publisher: Publisher, tmp_path: Path
) -> None:
    trial = {"share": 0.5, "least_clicks": 20, "least_requests": 10_000}
    with on_trial(publisher, tmp_path, trial) as (server, first, second):
        replies = [server.ask(user_id=person) for person in PEOPLE]
        theirs = [reply for reply in replies if reply["model_id"] == second]
        shown = [len(reply["items"]) for reply in replies if reply["model_id"] == first]
        for reply in replies:
            followed(server, reply, "impression")
        for reply in replies:
            if reply["model_id"] == first:
                followed(server, reply, "click")
        labels = f'{{arm="",model_id="{first}",placement="home"}}'
        assert server.metric(f"hearth_clicked_total{labels}") == sum(shown)
        assert server.metric(f"hearth_shown_total{labels}") == sum(shown)

        until(lambda: server.metric("hearth_trials_stopped_total") == 1, server.log)
        [stopped] = server.logged("trial stopped")
        assert stopped["why"].startswith(f"0 of {sum(len(reply['items']) for reply in theirs)} shown were clicked")
        assert {server.ask(user_id=person)["model_id"] for person in PEOPLE} == {first}
        assert publisher.registry.stages().shadow is None
        assert not any(reply["recommendation_id"] in server.log() for reply in replies)


def test_one_reply_counts_each_of_its_items_once_whatever_is_sent_of_it(publisher: Publisher, tmp_path: Path) -> None:
    with on_trial(publisher, tmp_path, {"share": 0.5, "least_clicks": 20}) as (server, first, second):
        replies = [server.ask(user_id=person) for person in PEOPLE]
        theirs, others = (
            next(reply for reply in replies if reply["model_id"] == model_id) for model_id in (second, first)
        )
        for reply, kinds in ((theirs, ["impression"]), (others, ["impression", "click", "view"])):
            for start in (0, 1):
                invented = [{"item_id": f"item-{number}"} for number in range(start, 60)]
                for viewer in range(5):
                    sent = reply | {"items": [*invented, {"item_id": "nonsense"}]}
                    followed(server, sent, *kinds, viewer=f"{start}-{viewer}")
        labels = (f'{{arm="",model_id="{model_id}",placement="home"}}' for model_id in (second, first))
        assert [server.metric(f"hearth_shown_total{label}") for label in labels] == [10, 10]
        assert server.metric(f'hearth_clicked_total{{arm="",model_id="{first}",placement="home"}}') == 10
        time.sleep(0.5)  # ten looks at the guardrails
        assert server.metric("hearth_trials_stopped_total") == 0


def test_a_reply_whose_model_the_request_has_named_counts_in_no_trial(publisher: Publisher, tmp_path: Path) -> None:
    trial = {"share": 0.5, "least_clicks": 20, "least_requests": 10_000}
    with on_trial(publisher, tmp_path, trial) as (server, first, second):
        for model_id, kinds in ((second, ["impression"]), (first, ["impression", "click"])):
            for named in ({"model_id": model_id}, {"query_vector": [0.1] * 8, "checkpoint_id": model_id}):
                for _ in range(3):
                    followed(server, server.ask(**named), *kinds)
        shown = [f'hearth_shown_total{{arm="",model_id="{model_id}",placement="home"}}' for model_id in (second, first)]
        assert [server.metric(sample) for sample in shown] == [60, 60]
        time.sleep(0.5)  # ten looks at the guardrails
        assert server.metric("hearth_trials_stopped_total") == 0

        for reply in (server.ask(user_id=person) for person in PEOPLE[:10]):
            followed(server, reply, "impression", *(["click"] if reply["model_id"] == first else []))
        until(lambda: server.metric("hearth_trials_stopped_total") == 1, server.log)


def test_a_checkpoint_whose_trial_was_stopped_answers_nobody_though_it_stays_in_memory(
    publisher: Publisher, tmp_path: Path
) -> None:
    with on_trial(publisher, tmp_path, {"share": 0.5, "least_clicks": 20}) as (server, first, second):
        for file in (publisher.folder / "checkpoints" / second).iterdir():
            file.unlink()  # so that its stage cannot be taken from it
        vector = {"query_vector": [0.1] * 8, "checkpoint_id": second}
        assert server.ask(model_id=second)["model_id"] == server.ask(**vector)["model_id"] == second
        for reply in (server.ask(user_id=person) for person in PEOPLE):
            followed(server, reply, "impression", *(["click"] if reply["model_id"] == first else []))
        server.logged("shadow not taken back")
        assert server.client.get(f"/v1/models/{second}/ready").json()["stage"] == "shadow"
        refused, other = server.recommend(model_id=second), server.recommend(**vector)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/model-not-loaded")
        assert (other.status_code, other.json()["live_checkpoint_id"]) == (409, first)


def test_an_event_that_was_stored_before_counts_once_when_it_is_sent_again(
    publisher: Publisher, tmp_path: Path
) -> None:
    model_id = publisher.publish(draft(1))
    with started(config_of(publisher), tmp_path) as server:
        server.serves(model_id)
        reply = server.ask()
        sent = event(reply["recommendation_id"], reply["items"][0]["item_id"], "click")
        stored = {name: value for name, value in sent.items() if name != "recommendation_id"}
        assert server.post(stored).json()["events"][0]["status"] == 201  # as by a request that was then a 503
        clicked = f'hearth_clicked_total{{arm="",model_id="{model_id}",placement="home"}}'
        assert server.metric(clicked) == 0
        for _ in range(2):
            assert server.post(sent).json()["events"][0]["status"] == 200
            assert server.metric(clicked) == 1


def test_what_another_trial_showed_counts_in_none_that_comes_after(publisher: Publisher, tmp_path: Path) -> None:
    first, second, third = (publisher.publish(draft(seed), promote=seed == 1) for seed in (1, 2, 3))
    publisher.registry.promote(second, "shadow")
    with started(config_of(publisher, trial={"share": 0.5, "least_clicks": 20}), tmp_path) as server:
        server.serves(first)
        loaded(server, second)
        replies = [server.ask(user_id=person) for person in PEOPLE]
        publisher.registry.promote(third, "shadow")
        loaded(server, third)
        for reply in replies:
            followed(server, reply, "impression", *(["click"] if reply["model_id"] == first else []))
        labels = f'{{arm="",model_id="{second}",placement="home"}}'
        assert server.metric(f"hearth_shown_total{labels}") > 50
        time.sleep(0.5)  # ten looks at the guardrails
        assert server.metric("hearth_trials_stopped_total") == 0
        assert publisher.registry.stages().shadow == third

        for reply in (server.ask(user_id=person) for person in PEOPLE):
            followed(server, reply, "impression")
        until(lambda: server.metric("hearth_trials_stopped_total") == 1, server.log)


def test_an_experiment_divides_people_among_placements_and_the_reply_says_how(
    publisher: Publisher, tmp_path: Path
) -> None:
    model_id = publisher.publish(draft(1))
    config = config_of(
        publisher,
        placements={"home": {}, "odd": {"sources": [{"kind": "pinned", "items": ["item-7"], "share": 0.5}]}},
        experiments={
            "pins": {"placement": "home", "arms": {"off": {"share": 0.5}, "on": {"share": 0.5, "placement": "odd"}}}
        },
    )
    with started(config, tmp_path) as server:
        server.serves(model_id)
        replies = {person: server.ask(user_id=person) for person in PEOPLE}
        arms = {person: reply["experiments"]["pins"] for person, reply in replies.items()}
        assert set(arms.values()) == {"off", "on"}
        for person, reply in replies.items():
            assert (reply["items"][0]["item_id"] == "item-7") == (arms[person] == "on")
        chosen = server.ask(user_id="anybody", experiments={"pins": "on"})
        assert (chosen["experiments"], chosen["items"][0]["item_id"]) == ({"pins": "on"}, "item-7")
        server.post(event(chosen["recommendation_id"], "item-7", "click")).raise_for_status()
        assert server.metric(f'hearth_clicked_total{{arm="pins/on",model_id="{model_id}",placement="home"}}') == 1


@pytest.mark.parametrize("stored", [True, False])
def test_a_persons_data_are_exported_and_erased_over_http(publisher: Publisher, tmp_path: Path, stored: bool) -> None:  # noqa: FBT001 - a case
    model_id = publisher.publish(draft(1))
    more = {"store": tmp_path / "people.sqlite"} if stored else {}
    with started(config_of(publisher, **more), tmp_path) as server:
        server.serves(model_id)
        viewed = {"event_id": "1", "user_id": "canary-person", "item_id": "item-2", "event": "view"}
        server.post(viewed).raise_for_status()
        document = server.client.post("/v1/privacy/exports", json={"user_id": "canary-person"}).json()
        assert (document["user_id"], document["events"]["events"][0]["item_id"]) == ("canary-person", "item-2")
        done = server.client.post("/v1/privacy/erasures", json={"user_id": "canary-person"})
        receipt = done.json()
        assert (done.status_code, receipt["complete"], receipt["removed"]["events"]) == (201, True, 1)
        if stored:
            until(lambda: server.client.get(done.headers["location"]).json()["files_rewritten"] is True, server.log)
        again = server.client.post("/v1/privacy/exports", json={"user_id": "canary-person"}).json()
        assert again["events"]["events"] == []
        assert server.ask(user_id="canary-person")["meta"]["degraded"] == ["popularity-fallback"]
        assert server.client.get("/v1/privacy/erasures/none").json()["type"] == "/problems/unknown-erasure"
        assert "canary-person" not in server.log() + str(receipt)
