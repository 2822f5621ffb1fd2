"""What a study may try: settings that training takes, with those it starts from among them."""

from typing import Any

import pytest

from hearth.search_space import settings_of, space_of, start_values
from training.settings import TrainingSettings

BASES: list[dict[str, Any]] = [
    {"algorithm": "curvature"},
    {"item_item": {"items": 100}},
    *({"algorithm": "fedavg", "server": {"optimizer": name}} for name in ("fedavg", "fedavgm", "fedadam", "fedyogi")),
]


@pytest.mark.parametrize("fields", BASES, ids=str)
def test_both_ends_of_every_range_are_settings_that_training_takes(fields: dict[str, Any]) -> None:
    base = TrainingSettings.model_validate(fields)
    space = space_of(base, 3_000, (16, 128))
    for end in ("low", "high"):
        tried = settings_of(base, {path: getattr(values, end) for path, values in space.items()})
        assert tried != base
        assert (tried.algorithm, tried.server.optimizer) == (base.algorithm, base.server.optimizer)
        assert tried.alpha == space["alpha"].low if end == "low" else space["alpha"].high
        assert (tried.rounds, tried.cohort, tried.seed) == (base.rounds, base.cohort, base.seed)
    assert all(values.low < values.high for values in space.values())


@pytest.mark.parametrize("fields", BASES, ids=str)
def test_the_values_to_start_from_are_the_settings_as_they_are(fields: dict[str, Any]) -> None:
    base = TrainingSettings.model_validate(fields)
    space = space_of(base, 3_000)
    start = start_values(base, 3_000, space)
    assert start.keys() == space.keys()
    again = settings_of(base, start)
    assert again.fold_in(3_000) == base.fold_in(3_000)
    assert again.model_copy(update={"alpha": None}) == base
    assert all(values.low <= start[path] <= values.high for path, values in space.items())


def test_a_value_far_from_the_usual_ones_widens_its_range() -> None:
    base = TrainingSettings.model_validate({"curvature": {"learning_rate": 0.01}, "alpha": 90, "dim": 24})
    space = space_of(base, 3_000, (16, 128))
    assert (space["curvature.learning_rate"].low, space["curvature.learning_rate"].high) == (0.01, 1.2)
    assert (space["alpha"].low, space["alpha"].high) == (90 / 16, 100)
    assert space["dim"].among == (16, 24, 128)


def test_item_item_weights_are_tried_where_there_are_any_and_their_number_stays() -> None:
    without, with_them = (space_of(TrainingSettings.model_validate({"item_item": {"items": m}}), 3_000) for m in (0, 9))
    added = with_them.keys() - without.keys()
    assert added == {f"item_item.{name}" for name in ("regularization", "dropout", "activity_exponent", "weight")}


def test_the_number_of_dimensions_is_tried_only_when_asked_for() -> None:
    assert "dim" not in space_of(TrainingSettings(), 3_000)
    assert settings_of(TrainingSettings(), {"dim": 16, "curvature.momentum": 0.5}).dim == 16
