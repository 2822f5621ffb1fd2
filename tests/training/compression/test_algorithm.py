"""Compressed rounds: a survey, then steps of the rows asked for, which go where whole gradients go."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.training.worlds import checkerboard
from training.compression.announcement import steps_of
from training.compression.digits import unpacked
from training.curvature import newton_step
from training.run import TrainingRun, prepare
from training.server_state import ServerState
from training.settings import TrainingSettings

SPLIT = checkerboard(people=120)
EXACT = {"levels": 1000, "rows": 1.0, "spread": 10.0, "table": "float32"}


def prepared(compression: dict[str, Any] | None, **settings: Any) -> TrainingRun:
    shape = {"dim": 4, "alpha": 0.2, "rounds": 12, "cohort": 120, "patience": 0, "compression": compression}
    return prepare(SPLIT, TrainingSettings.model_validate(shape | settings))


def states(run: TrainingRun) -> list[ServerState]:
    return [state for state, _ in run.rounds(run.start())]


def test_the_survey_takes_no_step_and_tells_the_counts() -> None:
    run = prepared({})
    first = states(run)[0]
    assert np.array_equal(run.item_vectors(first), run.item_vectors(run.start()))
    assert np.array_equal(first.statistics["item_counts"], np.bincount(SPLIT.train.rows, minlength=40))


def test_with_fine_steps_of_all_rows_a_round_is_the_near_newton_step_of_everybody() -> None:
    run, settings = prepared(EXACT), TrainingSettings(alpha=0.2).fold_in(40)
    surveyed, after = states(run)[:2]
    Q = run.item_vectors(surveyed)
    whole = prepared(None)
    sums = whole.algorithm.client_update(Q, list(SPLIT.train)).sums
    share, counts = sums["item_energy"] / np.trace(sums["user_gram"]), sums["item_counts"]
    ridge = settings.regularization * sums["activity"][0] / 120 * (counts + settings.alpha * 120)
    gradient = sums["item_gradient"] + settings.alpha * Q @ sums["user_gram"] + ridge[:, None] * Q
    step = newton_step(gradient, sums["user_gram"], share[:, None] + np.float32(settings.alpha), ridge[:, None])
    np.testing.assert_allclose(run.item_vectors(after), Q - step, rtol=0, atol=0.01 * np.abs(step).max())


def test_only_the_rows_asked_for_move_and_every_row_has_its_turn() -> None:
    run = prepared({"rows": 0.25})
    moved = np.zeros(40, np.int64)
    before, *rest = states(run)
    for after in rest:
        different = (run.item_vectors(after) != run.item_vectors(before)).any(axis=1)
        assert different.sum() <= 10
        moved += different
        before = after
    assert moved.min() >= 1


def test_the_steps_of_a_row_follow_the_root_mean_square_of_its_sums() -> None:
    run = prepared({"rows": 0.25, "cells": 4})
    surveyed = states(run)[0]
    asked = run.algorithm.broadcast(surveyed)
    update = run.algorithm.client_update(asked, list(SPLIT.train))
    rows, before = np.flatnonzero(asked.steps), surveyed.statistics["row_scale"]
    sums = unpacked(update.sums["words"], 40, 2, 4).reshape(10, 4) * steps_of(asked.steps[rows])[:, None]
    after = run.algorithm.server.apply(surveyed, update).statistics["row_scale"]
    np.testing.assert_allclose(after[rows], (before[rows] + np.sqrt(np.square(sums).mean(axis=1) / 4)) / 2, rtol=1e-5)
    others = np.setdiff1d(np.arange(40), rows)
    assert np.array_equal(after[others], before[others])
    np.testing.assert_allclose(steps_of(asked.steps[rows]), before[rows], rtol=0.1)  # spread 2 over 2 levels


@pytest.mark.parametrize(
    "compression",
    [{}, {"levels": 1, "rows": 0.6, "spread": 1.5}, {"levels": 42, "rows": 1.0}, {"cells": 5}],
    ids=["default", "three values", "bytes", "five cells"],
)
def test_coarse_sums_of_some_rows_learn_the_checkerboard_as_whole_ones_do(compression: dict[str, Any]) -> None:
    whole, coarse = prepared(None), prepared(compression, rounds=30)
    reached = [run.test(states(run)[-1]).ndcg for run in (whole, coarse)]
    assert reached[1] > reached[0] - 0.05  # of 120 people: seeds differ by .03
    assert reached[0] > 0.6


def test_a_run_taken_up_again_is_the_run_that_was_never_stopped() -> None:
    run = prepared({})
    through = states(run)
    again = [state for state, _ in run.rounds(through[4])]
    assert np.array_equal(run.item_vectors(again[-1]), run.item_vectors(through[-1]))


def test_reports_count_the_bytes_of_words() -> None:
    run = prepared({"rows": 0.25})
    told = [report.uplink_bytes_per_client for _, report in run.rounds(run.start())]
    assert told[0] == (10 + 3 * 40 + 1) * 4 + 16  # the survey
    assert set(told[1:]) == {10 * 4 // 4 * 2 + 10 * 4 + 16}  # ten rows of four numbers, four numbers a word
    assert {report.cohort for _, report in run.rounds(run.start())} == {120}


def test_sums_of_a_cell_that_is_missing_from_a_round_count_for_it() -> None:
    """Two of three cells like the third: their sum times 3/2 is the sum of all."""
    run = prepared(EXACT)
    surveyed = states(run)[0]
    asked = run.algorithm.broadcast(surveyed)
    people = list(SPLIT.train)
    once = run.algorithm.client_update(asked, people)
    by_one = run.algorithm.server.apply(surveyed, once)
    half = run.algorithm.client_update(asked, people[:60])
    by_half = run.algorithm.server.apply(surveyed, half)
    moved = run.item_vectors(by_one) - run.item_vectors(surveyed)
    other = run.item_vectors(by_half) - run.item_vectors(surveyed)
    assert np.vdot(moved, other) / np.linalg.norm(moved) / np.linalg.norm(other) > 0.9
    assert np.linalg.norm(other) == pytest.approx(np.linalg.norm(moved), rel=0.2)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"algorithm": "fedavg"}, "algorithm curvature; got algorithm fedavg"),
        ({"aggregation": {"rule": "median", "group_size": 5}}, "no rule of aggregation can tell them apart"),
        ({"curvature": {"momentum": 0.5}}, "steps of their own"),
        ({"compression": {"levels": 1}}, "round most of it to nothing; got spread 2.0 over levels 1"),
    ],
)
def test_settings_that_do_not_go_with_compression_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        prepared(**{"compression": {}, **settings})
