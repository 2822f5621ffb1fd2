"""The choice of federated settings: what a grid changes, and that valid alone decides."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from benchmarks.federated_choice import LOSS_GRID, changed, choose_settings
from tests.benchmarks.tastes import two_tastes
from training.histories import Histories
from training.run import prepare
from training.settings import TrainingSettings

SETTINGS = TrainingSettings(dim=4, rounds=6, cohort=10, patience=0)
GRID = ({"alpha": 0.5, "regularization": 50.0}, {"alpha": 0.5, "regularization": 0.01}, {"alpha": 0.5, "dim": 1})


def test_a_change_reaches_the_field_that_it_names_and_no_other() -> None:
    settings = changed(SETTINGS, {"unmet_weight": 15.0, "curvature.momentum": 0.5, "regularization": 0.2}, 30)
    expected = SETTINGS.model_dump() | {"alpha": 0.5, "regularization": 0.2}
    expected["curvature"] = {**expected["curvature"], "momentum": 0.5}
    assert settings.model_dump() == expected


def test_a_change_that_is_no_setting_is_refused() -> None:
    for changes in ({"momentum": 0.5}, {"curvature.speed": 1.0}, {"regularization": -1.0}):
        with pytest.raises(ValidationError):
            changed(SETTINGS, changes, 30)


def test_the_grid_of_the_loss_is_valid_and_holds_the_defaults() -> None:
    defaults = TrainingSettings().fold_in(4000)
    assert defaults in [changed(SETTINGS, changes, 4000).fold_in(4000) for changes in LOSS_GRID]


def test_the_settings_that_are_best_on_valid_are_chosen_whatever_the_test_part() -> None:
    split = two_tastes()
    other_test = replace(split, test=Histories.of([(rows + 1) % 30 for rows in split.test]))
    told: list[str] = []
    chosen = choose_settings(split, SETTINGS, GRID, told.append)
    assert chosen == choose_settings(other_test, SETTINGS, GRID, told.append)

    def ndcg(settings: TrainingSettings) -> float:
        run = prepare(split, settings)
        *_, (state, _) = run.rounds(run.start(), validate=False)
        return run.validation(state).ndcg

    figures = {changed(SETTINGS, changes, 30): ndcg(changed(SETTINGS, changes, 30)) for changes in GRID}
    assert figures[chosen] == max(figures.values()) > min(figures.values())
    assert [line.split(":")[0] for line in told[:3]] == [f"federated on valid, {n} of 3" for n in (1, 2, 3)]


def test_a_grid_of_one_is_taken_as_it_is() -> None:
    told: list[str] = []
    assert choose_settings(two_tastes(), SETTINGS, GRID[:1], told.append) == changed(SETTINGS, GRID[0], 30)
    assert told == []
