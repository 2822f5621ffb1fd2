"""Search space: which settings a study tries, and how far from where it starts.

Each range holds the value it starts from, so that a study's first trial can be the settings as they were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.settings import TrainingSettings

Value = float | int

_FACTOR = 16.0  # of the weights of the loss, each way: their best values differ that much between data sets


@dataclass(frozen=True, slots=True)
class Range:
    """The values of one setting.

    low, high: least and most.
    log: whether a tenth matters as much at the low end as at the high one.
    among: where it is not empty, the only values that are tried.
    whole: whether they are whole numbers.
    """

    low: Value
    high: Value
    log: bool = False
    whole: bool = False
    among: tuple[int, ...] = ()

    def holding(self, start: Value) -> "Range":
        """The range, made wide enough for the value to start from."""
        if self.among:
            among = tuple(sorted({*self.among, int(start)}))
            return Range(among[0], among[-1], among=among)
        return Range(min(self.low, start), max(self.high, start), self.log, self.whole)


Space = Mapping[str, Range]
"""By the path of a setting, such as curvature.momentum."""

_CURVATURE: Space = {
    "curvature.learning_rate": Range(0.3, 1.2),
    "curvature.decay_rounds": Range(2.0, 30.0, log=True),
    "curvature.momentum": Range(0.3, 0.95),
    "curvature.activity_exponent": Range(0.0, 1.0),
}
_ITEM_ITEM: Space = {
    "item_item.regularization": Range(50.0, 2000.0, log=True),
    "item_item.dropout": Range(0.0, 1.0),
    "item_item.activity_exponent": Range(0.0, 1.0),
    "item_item.weight": Range(0.3, 3.0, log=True),
}
_FEDAVG: Space = {
    "fedavg.local_epochs": Range(1, 8, whole=True),
    "fedavg.client_learning_rate": Range(0.01, 1.0, log=True),
    "fedavg.proximal": Range(0.0, 1.0),
}
_SERVERS: Mapping[str, Space] = {
    "fedavg": {"server.learning_rate": Range(0.1, 10.0, log=True), "server.mixing": Range(0.0, 0.9)},
    "fedavgm": {"server.learning_rate": Range(0.1, 10.0, log=True), "server.momentum": Range(0.3, 0.97)},
    "fedadam": {"server.learning_rate": Range(1e-3, 0.3, log=True), "server.tau": Range(1e-4, 1e-1, log=True)},
    "fedyogi": {"server.learning_rate": Range(1e-3, 0.3, log=True), "server.tau": Range(1e-4, 1e-1, log=True)},
}


def start_values(base: TrainingSettings, items: int, space: Space) -> dict[str, Value]:
    """The values that the settings have as they are, by path; α as it comes out for that many items."""
    values: dict[str, Value] = {}
    for path in space:
        value = base.fold_in(items).alpha if path == "alpha" else _at(base.model_dump(), path)
        if not isinstance(value, int | float):
            raise TypeError(f"{path} of the settings is no number but {value!r}, and has no range")
        values[path] = value
    return values


def space_of(base: TrainingSettings, items: int, dims: Sequence[int] = ()) -> Space:
    """What may be tried of these settings, over that many items.

    The two weights of the loss, how much popularity is discounted, the steps of whichever algorithm and server
    optimizer the settings name, and the item-item weights where there are any. Their number, which costs bytes, stays
    as it is; and the number of dimensions is tried only where `dims` names some.
    """
    alpha = base.fold_in(items).alpha
    weights: Space = {
        "alpha": Range(alpha / _FACTOR, min(100.0, alpha * _FACTOR), log=True),
        "regularization": Range(base.regularization / _FACTOR, min(100.0, base.regularization * _FACTOR), log=True),
        "popularity_discount": Range(0.0, 0.2),
    }
    steps = _CURVATURE if base.algorithm == "curvature" else {**_FEDAVG, **_SERVERS[base.server.optimizer]}
    sizes: Space = {"dim": Range(min(dims), max(dims), among=tuple(dims))} if dims else {}
    beside: Space = _ITEM_ITEM if base.item_item.items else {}
    space = {**weights, **steps, **beside, **sizes}
    start = start_values(base, items, space)
    return {path: values.holding(start[path]) for path, values in space.items()}


def settings_of(base: TrainingSettings, values: Mapping[str, Value]) -> TrainingSettings:
    """The settings with these values in their places.

    >>> settings_of(TrainingSettings(), {"dim": 8, "curvature.momentum": 0.5}).curvature.momentum
    0.5
    """
    dumped = base.model_dump()
    for path, value in values.items():
        *outer, last = path.split(".")
        place = dumped
        for name in outer:
            place = place[name]
        place[last] = value
    return TrainingSettings.model_validate(dumped)


def _at(dumped: Mapping[str, object], path: str) -> object:
    found: object = dumped
    for name in path.split("."):
        if not isinstance(found, Mapping):
            raise TypeError(f"{path} leads through {found!r}, which has no parts")
        found = found[name]
    return found
