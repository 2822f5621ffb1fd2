"""The server optimizers of the FedAvg family, over the item tower and over plain parameters."""

import numpy as np
import pytest

from training.averaging import averaging, make_step
from training.client_update import ClientUpdate
from training.fedavg import fedavg
from training.item_counts import counting
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.server_optimizer import ServerOptimizer
from training.server_settings import FedAdamServer, FedAvgMServer, FedAvgServer, FedYogiServer
from training.server_state import ServerState


def started(optimizer: ServerOptimizer, parameters: dict[str, np.ndarray]) -> ServerState:
    return ServerState(0, parameters, optimizer.init(parameters))


def test_the_server_takes_the_mean_by_the_weights_of_the_clients() -> None:
    """McMahan et al. 2017, algorithm 1: θ ← Σ (n_u / n) θ_u."""
    copies = {1.0: np.array([4.0, 0.0]), 3.0: np.array([0.0, 8.0])}
    start = {"w": np.array([1.0, 1.0], np.float32)}
    update = ClientUpdate(
        {
            "w": sum(n * (copy - start["w"]) for n, copy in copies.items()).astype(np.float32),
            "weight": np.array([4.0], np.float32),
        },
        loss=0.0,
        clients=2,
    )
    optimizer = averaging(fedavg(FedAvgServer()))
    after = optimizer.apply(started(optimizer, start), update)
    np.testing.assert_allclose(after.parameters["w"], [1.0, 6.0])
    assert after.round_number == 1


@pytest.mark.parametrize(("rate", "mixing"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.25), (2.0, 0.75)])
def test_the_learning_rate_scales_the_averaged_update_and_mixing_then_keeps_a_share_of_the_old(
    rate: float, mixing: float
) -> None:
    old, delta = np.array([1.0, -2.0], np.float32), np.array([0.5, 4.0], np.float32)
    averaged = old + rate * delta
    expected = averaged + mixing * (old - averaged)
    step = fedavg(FedAvgServer(learning_rate=rate, mixing=mixing))
    (after, _) = step.apply({"w": old}, {"w": delta}, {})
    np.testing.assert_allclose(after["w"], expected, rtol=1e-6)
    np.testing.assert_allclose(after["w"], old + (1 - mixing) * rate * delta, rtol=1e-6)


def test_momentum_adds_up_over_the_rounds() -> None:
    """Hsu et al. 2019: with Δ = 1 each round and β = .5 the velocity is 1, 1.5, 1.75."""
    step = make_step(FedAvgMServer(learning_rate=2.0, momentum=0.5))
    parameters, memory = {"w": np.zeros(1, np.float32)}, step.init({"w": np.zeros(1, np.float32)})
    for velocity in (1.0, 1.5, 1.75):
        before = parameters["w"]
        parameters, memory = step.apply(parameters, {"w": np.ones(1, np.float32)}, memory)
        np.testing.assert_allclose(parameters["w"] - before, [2.0 * velocity])


@pytest.mark.parametrize("server", [FedAdamServer, FedYogiServer])
def test_adaptive_steps_are_algorithm_2_of_the_paper(server: type[FedAdamServer | FedYogiServer]) -> None:
    """Reddi et al. 2021, written out in double precision, one number at a time."""
    settings = server(learning_rate=0.1, beta1=0.9, beta2=0.99, tau=0.01)
    step = make_step(settings)
    random = np.random.default_rng(4)
    parameters = {"w": random.standard_normal(3).astype(np.float32)}
    memory = step.init(parameters)
    x, m, v = [float(value) for value in parameters["w"]], [0.0] * 3, [0.01**2] * 3
    for scale in (1.0, 0.3, 0.001, 2.0, 0.0):
        delta = (scale * random.standard_normal(3)).astype(np.float32)
        parameters, memory = step.apply(parameters, {"w": delta}, memory)
        for i in range(3):
            d = float(delta[i])
            m[i] = 0.9 * m[i] + 0.1 * d
            if server is FedAdamServer:
                v[i] = 0.99 * v[i] + 0.01 * d * d
            else:
                v[i] = v[i] - 0.01 * d * d * np.sign(v[i] - d * d)
            x[i] += 0.1 * m[i] / (np.sqrt(v[i]) + 0.01)
        np.testing.assert_allclose(parameters["w"], x, rtol=1e-5)


def test_what_clients_learnt_of_item_vectors_is_carried_back_through_the_tower() -> None:
    features = ItemFeatures.of_categories([("a",), ("a", "b"), ()])
    tower = ItemTower(features, dim=2)
    parameters = tower.init(1, scale=1.0)
    optimizer = averaging(fedavg(FedAvgServer()), lambda p, mean: tower.pull_back(p, mean["item_delta"]))
    delta = np.array([[1, 0], [0, 2], [3, 3]], np.float32)
    update = ClientUpdate({"item_delta": 5 * delta, "weight": np.full(1, 5, np.float32)}, loss=0.0, clients=2)
    after = optimizer.apply(started(optimizer, dict(parameters)), update).parameters
    np.testing.assert_allclose(after["id_embedding"] - parameters["id_embedding"], delta, rtol=1e-5)
    # row 0 belongs to no category; item 1 has two, and each gets half of what it learnt
    np.testing.assert_allclose(after["category_embedding"], [[0, 0], [1, 1], [0, 1]], rtol=1e-5)


def test_item_counts_are_the_mean_over_the_rounds_for_the_whole_population() -> None:
    optimizer = counting(averaging(fedavg(FedAvgServer())), items=2, clients=10)
    state = started(optimizer, {"w": np.zeros(1, np.float32)})
    for counts in ([4.0, 0.0], [1.0, 3.0], [1.0, 0.0]):
        sums = {
            "w": np.ones(1, np.float32),
            "weight": np.ones(1, np.float32),
            "item_counts": np.array(counts, np.float32),
        }
        state = optimizer.apply(state, ClientUpdate(sums, loss=0.0, clients=5))
    np.testing.assert_allclose(state.statistics["item_counts"], [2 * (4 + 1 + 1) / 3, 2 * 3 / 3], rtol=1e-6)
    np.testing.assert_allclose(state.parameters["w"], [3.0])
