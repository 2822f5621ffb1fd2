"""The settings of a federated run, chosen on valid from a grid, as those of the peers are."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from training.item_features import ItemFeatures
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split

Changes = Mapping[str, Any]
"""What a setting of a grid changes: fields of `TrainingSettings`, those of a part as `fedavg.loss`; `unmet_weight`,
which is α·items, sets alpha."""

LOSS_GRID: tuple[Changes, ...] = tuple(
    {"unmet_weight": unmet_weight, "regularization": regularization}
    for unmet_weight, regularization in product((360.0, 720.0, 1440.0, 2880.0), (0.003, 0.01, 0.03))
)
"""The weights of the quadratic loss: twelve settings, where ALS has twenty."""


def changed(settings: TrainingSettings, changes: Changes, items: int) -> TrainingSettings:
    """The settings with those fields changed, checked anew; for a catalogue of that many items.

    >>> settings = changed(TrainingSettings(), {"unmet_weight": 500, "curvature.momentum": 0.5}, items=1000)
    >>> settings.alpha, settings.curvature.momentum, settings.curvature.learning_rate
    (0.5, 0.5, 0.7)
    """
    fields = settings.model_dump()
    for name, value in changes.items():
        part, _, field = name.rpartition(".")
        if name == "unmet_weight":
            fields["alpha"] = value / items
        elif part:
            fields[part] = {**fields[part], field: value}
        else:
            fields[name] = value
    return TrainingSettings.model_validate(fields)


def choose_settings(
    split: Split,
    settings: TrainingSettings,
    grid: Sequence[Changes],
    report: Callable[[str], None],
    features: ItemFeatures | None = None,
) -> TrainingSettings:
    """The settings of the grid with the best NDCG@20 on valid after their last round, from the seed in `settings`.

    A grid of one is not trained for.
    """
    items = len(split.vocabulary)
    candidates = [changed(settings, changes, items) for changes in grid]
    if len(candidates) == 1:
        return candidates[0]
    best, highest = candidates[0], float("-inf")
    for number, (changes, candidate) in enumerate(zip(grid, candidates, strict=True), 1):
        run = prepare(split, candidate, features)
        state = run.start()
        for after, _ in run.rounds(state, validate=False):
            state = after
        ndcg = run.validation(state, run.item_item(state)).ndcg
        report(f"federated on valid, {number} of {len(grid)}: {dict(changes)}: NDCG@20 {ndcg:.4f}")
        if ndcg > highest:
            best, highest = candidate, ndcg
    return best
