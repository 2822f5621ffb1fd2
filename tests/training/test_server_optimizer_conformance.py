"""What every server optimizer of the FedAvg family does, whichever it is. A new one is a line in `STEPS`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from feature_store.arrays import Int64Array
from feature_store.errors import BadInput
from training.algorithm import Algorithm
from training.averaging import averaging, make_step
from training.client_update import ClientUpdate
from training.delta_step import DeltaStep
from training.loop import run_rounds
from training.named_arrays import NamedArrays
from training.server_settings import ServerSettings
from training.server_state import ServerState, load_state, save_state
from training.transport import simulation

STEPS: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "fedavg, mixed": {"optimizer": "fedavg", "mixing": 0.5, "learning_rate": 0.7},
    "fedavgm": {"momentum": 0.5},
    "fedadam": {"learning_rate": 0.1},
    "fedyogi": {"learning_rate": 0.1},
}
REFUSED = [
    {"optimizer": "sgd"},
    {"optimizer": "fedavg", "learning_rate": 0},
    {"optimizer": "fedavg", "mixing": 1.0},
    {"optimizer": "fedavg", "mixing": -0.1},
    {"optimizer": "fedavg", "momentum": 0.9},
    {"optimizer": "fedavgm", "momentum": 1.0},
    {"optimizer": "fedadam", "tau": 0},
    {"optimizer": "fedadam", "beta1": 1.0},
    {"optimizer": "fedyogi", "beta2": 1.0},
    {"optimizer": "fedyogi", "learning_rate": float("nan")},
]
PARAMETERS = {"dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3) / 6, "dense/bias": np.ones(3, np.float32)}


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest) -> DeltaStep:
    settings = {"optimizer": request.param.partition(",")[0]} | STEPS[request.param]
    return make_step(TypeAdapter(ServerSettings).validate_python(settings))


def deltas(seed: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: (scale * random.standard_normal(a.shape)).astype(np.float32) for name, a in PARAMETERS.items()}


def walked(step: DeltaStep, rounds: int) -> tuple[NamedArrays, NamedArrays]:
    parameters, memory = PARAMETERS, step.init(PARAMETERS)
    for seed in range(rounds):
        parameters, memory = step.apply(parameters, deltas(seed), memory)
    return parameters, memory


def same(one: NamedArrays, other: NamedArrays) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(array, other[name]) for name, array in one.items())


def test_the_same_input_gives_the_same_output_and_changes_no_input(step: DeltaStep) -> None:
    parameters, memory = walked(step, 3)
    delta = deltas(9)
    before = [{name: array.copy() for name, array in arrays.items()} for arrays in (parameters, delta, memory)]
    first, second = (step.apply(parameters, delta, memory) for _ in range(2))
    assert same(first[0], second[0])
    assert same(first[1], second[1])
    assert all(same(arrays, copy) for arrays, copy in zip((parameters, delta, memory), before, strict=True))
    assert not same(first[0], parameters)


def test_names_shapes_and_types_stay(step: DeltaStep) -> None:
    parameters, memory = walked(step, 2)
    assert {name: (a.shape, a.dtype) for name, a in parameters.items()} == {
        name: (a.shape, np.float32) for name, a in PARAMETERS.items()
    }
    assert {name: (a.shape, a.dtype) for name, a in memory.items()} == {
        name: (a.shape, a.dtype) for name, a in step.init(PARAMETERS).items()
    }


def test_at_first_a_zero_update_moves_nothing(step: DeltaStep) -> None:
    """Later one may: momentum goes on, as each paper says."""
    nothing = {name: np.zeros_like(array) for name, array in PARAMETERS.items()}
    parameters, memory = PARAMETERS, step.init(PARAMETERS)
    for _ in range(3):
        parameters, memory = step.apply(parameters, nothing, memory)
    assert same(parameters, PARAMETERS)


def test_the_first_step_goes_the_way_of_the_update_in_each_number(step: DeltaStep) -> None:
    delta = deltas(2)
    (after, _) = step.apply(PARAMETERS, delta, step.init(PARAMETERS))
    for name, array in PARAMETERS.items():
        assert (np.sign(after[name] - array) == np.sign(delta[name])).all()


def test_the_state_survives_the_disk_and_a_resumed_walk_equals_an_uninterrupted_one(
    step: DeltaStep, tmp_path: Path
) -> None:
    parameters, memory = walked(step, 3)
    save_state(tmp_path / "state", ServerState(3, parameters, memory), {})
    loaded = load_state(tmp_path / "state", {})
    assert loaded is not None
    assert same(loaded.parameters, parameters)
    assert same(loaded.statistics, memory)
    resumed, remembered = loaded.parameters, loaded.statistics
    for seed in range(3, 6):
        resumed, remembered = step.apply(resumed, deltas(seed), remembered)
    expected = walked(step, 6)
    assert same(resumed, expected[0])
    assert same(remembered, expected[1])


def test_an_update_of_another_model_is_refused(step: DeltaStep) -> None:
    with pytest.raises(BadInput, match=r"dense/bias.*got|got.*dense/bias"):
        step.apply(PARAMETERS, {"dense/kernel": np.zeros((2, 3), np.float32)}, step.init(PARAMETERS))
    with pytest.raises(BadInput, match=r"\(4,\)"):
        step.apply(PARAMETERS, {**deltas(1), "dense/bias": np.zeros(4, np.float32)}, step.init(PARAMETERS))


@pytest.mark.parametrize("settings", REFUSED)
def test_settings_out_of_bounds_or_of_another_optimizer_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ServerSettings).validate_python(settings)


TARGETS = np.random.default_rng(5).standard_normal((30, 4)).astype(np.float32) + 2
"""Client u has the loss |θ − target_u|²/2; over all of them the minimum is the mean of the targets."""


def least_squares(step: DeltaStep) -> Algorithm[np.ndarray, np.ndarray]:
    def client_update(sent: np.ndarray, clients: Any) -> ClientUpdate:
        moved = np.sum([0.5 * (target - sent) for target in clients], axis=0)
        loss = sum(float(np.square(target - sent).sum()) / 2 for target in clients)
        weight = np.full(1, len(clients), np.float32)
        return ClientUpdate({"w": moved.astype(np.float32), "weight": weight}, loss, len(clients))

    return Algorithm(lambda state: state.parameters["w"], client_update, averaging(step))


def everybody() -> Int64Array:
    return np.arange(len(TARGETS))


def distance(state: ServerState) -> float:
    return float(np.abs(state.parameters["w"] - TARGETS.mean(axis=0)).max())


def start(algorithm: Algorithm[np.ndarray, np.ndarray]) -> ServerState:
    parameters = {"w": np.zeros(4, np.float32)}
    return ServerState(0, parameters, algorithm.server.init(parameters))


def test_a_convex_problem_converges_to_its_minimum(step: DeltaStep) -> None:
    algorithm = least_squares(step)
    everyone = simulation(algorithm, list(TARGETS), everybody(), 30, 1)
    rounds = run_rounds(algorithm, everyone, start(algorithm), rounds=150)
    *_, (last, _) = rounds
    assert distance(last) < 0.02


def test_the_loop_stops_when_the_metric_gains_no_more_and_says_so(step: DeltaStep) -> None:
    """Until convergence or the maximum iteration: patience ends the run, and without patience the limit does."""
    algorithm = least_squares(step)

    def run(patience: int) -> list[bool]:
        rounds = run_rounds(
            algorithm,
            simulation(algorithm, list(TARGETS), everybody(), 30, 1),
            start(algorithm),
            rounds=150,
            patience=patience,
            evaluate=lambda state: -round(distance(state), 2),
        )
        return [report.converged for _, report in rounds]

    stopped = run(patience=10)
    assert 10 < len(stopped) < 150
    assert stopped == [False] * (len(stopped) - 1) + [True]
    assert run(patience=0) == [False] * 150
