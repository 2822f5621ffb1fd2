"""Every algorithm that the settings of a recommender can name: it learns, resumes and stops."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.training.worlds import checkerboard
from training.named_arrays import NamedArrays
from training.recommender import make_algorithm
from training.run import TrainingRun, prepare
from training.server_state import ServerState, load_state, save_state
from training.settings import TrainingSettings

SPLIT = checkerboard()
UNTRAINED = 0.31  # NDCG@20 of a random order of the 28 items that a person has not met, two of which are right
LOCAL = {"algorithm": "fedavg", "fedavg": {"local_epochs": 5, "client_learning_rate": 0.5}}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "curvature": {},
    "curvature, bounded": {"aggregation": {"clip_norm": 2.0}},
    "curvature, median of groups": {"aggregation": {"rule": "median", "group_size": 10}},
    "fedavg": LOCAL | {"server": {"optimizer": "fedavg", "learning_rate": 2.0}},
    "fedavg, mixed": LOCAL | {"server": {"optimizer": "fedavg", "learning_rate": 3.0, "mixing": 0.3}},
    "fedavg, by clients": LOCAL | {"aggregation": {"weighting": "clients"}},
    "fedavg, trimmed": LOCAL | {"aggregation": {"rule": "trimmed_mean", "trim": 0.2}},
    "fedavgm": LOCAL | {"server": {"optimizer": "fedavgm", "momentum": 0.5}},
    "fedadam": LOCAL | {"server": {"optimizer": "fedadam", "learning_rate": 0.05}},
    "fedyogi": LOCAL | {"server": {"optimizer": "fedyogi", "learning_rate": 0.05}},
}


@pytest.fixture(params=ALGORITHMS)
def changes(request: pytest.FixtureRequest) -> dict[str, Any]:
    return ALGORITHMS[request.param]


def run_of(changes: dict[str, Any], **more: object) -> TrainingRun:
    small = {"dim": 4, "alpha": 0.2, "cohort": 40, "patience": 0, "rounds": 8}
    return prepare(SPLIT, TrainingSettings.model_validate(small | changes | more))


def last(run: TrainingRun, state: ServerState) -> ServerState:
    for after, _ in run.rounds(state):
        state = after
    return state


def same(one: NamedArrays, other: NamedArrays) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(array, other[name]) for name, array in one.items())


def test_it_learns_and_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    run = run_of(changes)
    whole = last(run, run.start())
    assert max(whole.validation) > UNTRAINED + 0.15
    first = run_of(changes, rounds=5)
    save_state(tmp_path / "state", last(first, first.start()), first.identity())
    saved = load_state(tmp_path / "state", run.identity())
    assert saved is not None
    assert saved.round_number == 5
    resumed = last(run_of(changes), saved)
    assert same(resumed.parameters, whole.parameters)
    assert same(resumed.statistics, whole.statistics)
    assert resumed.validation == whole.validation


def test_it_stops_when_validation_gains_no_more_before_the_most_rounds(changes: dict[str, Any]) -> None:
    run = run_of(changes, rounds=80, patience=2)
    reports = [report for _, report in run.rounds(run.start())]
    assert 2 < len(reports) < 80
    assert [report.converged for report in reports] == [False] * (len(reports) - 1) + [True]


def test_what_serving_needs_of_the_state_is_there(changes: dict[str, Any]) -> None:
    """The counts of the items, near those of the population also where updates are voted on or bounded."""
    run = run_of(changes, cohort=60, rounds=2)
    state = last(run, run.start())
    np.testing.assert_allclose(state.statistics["item_counts"], np.bincount(SPLIT.train.rows, minlength=40), rtol=1e-5)


def test_the_identity_of_a_run_names_what_its_algorithm_uses_and_nothing_else() -> None:
    averaging = run_of(LOCAL | {"server": {"optimizer": "fedadam"}}).identity()
    assert averaging["server.optimizer"] == "fedadam"
    assert averaging["server.tau"] == 1e-3
    assert not any(name.startswith("curvature.") for name in averaging)
    curvature = run_of({}).identity()
    assert curvature["curvature.momentum"] == TrainingSettings().curvature.momentum
    assert not any(name.startswith(("fedavg.", "server.")) for name in curvature)
    assert all(isinstance(value, str | int | float | bool | None) for value in (averaging | curvature).values())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"server": {"optimizer": "fedadam"}}, "algorithm curvature has a step of its own"),
        ({"aggregation": {"weighting": "clients"}}, "weighting is for algorithm fedavg"),
        ({"fedavg": {"local_epochs": 5}}, "algorithm curvature has no use for settings of fedavg"),
        ({"algorithm": "fedavg", "curvature": {"momentum": 0.5}}, "fedavg has no use for settings of curvature"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TrainingSettings.model_validate(wrong)


def test_a_bounded_client_moves_the_items_no_further_than_the_bound() -> None:
    run = run_of(LOCAL | {"aggregation": {"clip_norm": 0.01}})
    algorithm = make_algorithm(run.tower, 60, run.settings)
    start = run.start()
    sent = algorithm.broadcast(start)
    for history in list(SPLIT.train)[:5]:
        update = algorithm.client_update(sent, [history])
        assert np.linalg.norm(update.sums["item_delta"]) == pytest.approx(0.01, rel=1e-4)
        assert update.sums["weight"].tolist() == [1.0]
