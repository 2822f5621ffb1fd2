"""A model on trial that fails, or shows less than production: nobody goes without a list, and the trial ends."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_store.query_tower import ContextValue, QueryTower
from feature_store.row_ranges import one_catalogue
from tests.serving.on_trial import PEOPLE, on_trial
from tests.serving.published import Publisher, draft

HUGE = np.full(8, 3e38, np.float32)  # two of them are more than 32 bits hold, of which NumPy warns: an error in tests
OVERFLOWING = QueryTower(8, {ContextValue("device", "phone"): HUGE, ContextValue("hour", "3"): HUGE})
TOO_MUCH = {"session_events": [{"item_id": "item-2", "event": "view"}], "context": {"device": "phone", "hour": 3}}


def test_a_canary_that_shows_less_than_production_is_answered_for_by_it_and_stopped(
    publisher: Publisher, tmp_path: Path
) -> None:
    trial = {"share": 0.5, "compared": 0.0, "least_requests": 30, "most_failures": 0.4}
    with on_trial(publisher, tmp_path, trial, draft(2, items=30)) as (server, first, second):
        those_of_both = [f"item-{number}" for number in range(30, 60)]
        for _ in range(2):  # fewer than are asked for, and production has no more either
            few = [server.ask(user_id=person, k=40, exclude_item_ids=those_of_both) for person in PEOPLE]
            assert {reply["model_id"] for reply in few} == {first, second}
            assert {len(reply["items"]) for reply in few} == {30}
        tried = 2 * sum(reply["model_id"] == second for reply in few)
        assert tried >= trial["least_requests"]
        named = server.ask(model_id=second, k=40)  # who names a model has its list, whatever the other has
        assert (named["model_id"], len(named["items"])) == (second, 30)
        time.sleep(0.5)  # ten looks at the guardrails
        assert server.metric("hearth_trials_stopped_total") == 0

        while publisher.registry.stages().shadow == second:
            whole = [server.ask(user_id=person, k=40) for person in PEOPLE]
            assert {(reply["model_id"], len(reply["items"])) for reply in whole} == {(first, 40)}
        [stopped] = server.logged("trial stopped")
        failures, _, answers = stopped["why"].partition(" answers")[0].partition(" of ")
        assert int(answers) == tried + int(failures)


def test_a_model_that_has_nothing_to_show_where_production_has_is_stopped_before_anybody_is_shown_it(
    publisher: Publisher, tmp_path: Path
) -> None:
    trial, music = {"compared": 1.0, "least_requests": 10}, replace(draft(2), catalogues=one_catalogue("music", 60))
    films = {"home": {"vertical": "films"}}
    with on_trial(publisher, tmp_path, trial, music, placements=films) as (server, first, _):
        for _ in range(10):
            assert server.ask()["model_id"] == first
        [stopped] = server.logged("trial stopped")
        assert stopped["why"].startswith("10 of 10 answers failed")


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_the_model_on_trial_fails_production_answers_all_but_those_who_have_named_it(
    publisher: Publisher, tmp_path: Path, share: float
) -> None:
    trial, overflowing = {"share": share, "compared": 0.0}, replace(draft(2), query_tower=OVERFLOWING)
    with on_trial(publisher, tmp_path, trial, overflowing) as (server, first, second):
        assert server.ask(**TOO_MUCH)["model_id"] == first
        assert server.ask(model_id=first, **TOO_MUCH)["model_id"] == first
        assert server.ask(model_id=second)["model_id"] == second
        refused = server.recommend(model_id=second, **TOO_MUCH)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/model-not-loaded")
