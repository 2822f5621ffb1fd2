"""What robust aggregation is worth: the same attack breaks the mean and does not break the robust rule."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.training.worlds import checkerboard
from training.algorithm import Algorithm
from training.averaging import averaging, make_step
from training.client_update import ClientUpdate
from training.contribution import contributions
from training.evaluation import fold_in_scorer, top_rows
from training.keras_client import Assignment, Examples, KerasClient, LocalSgdSettings
from training.loop import run_rounds
from training.robust_aggregation import make_aggregation
from training.run import TrainingRun, prepare
from training.server_settings import AggregationSettings, FedAvgServer
from training.server_state import ServerState
from training.settings import TrainingSettings
from training.tf import tf_keras
from training.transport import simulation

SPLIT = checkerboard()
TARGET = 0  # an item of the even taste
MALICIOUS = {1, 3, 5}  # of 60: 5 %, as in published attacks on recommenders


def recommender(aggregation: dict[str, Any]) -> TrainingRun:
    settings = {
        "algorithm": "fedavg",
        "dim": 4,
        "alpha": 0.2,
        "fedavg": {"local_epochs": 5, "client_learning_rate": 0.5},
        "server": {"optimizer": "fedavg", "learning_rate": 2.0},
        "aggregation": aggregation,
    }
    return prepare(SPLIT, TrainingSettings.model_validate(settings))


def pushing(honest: Callable[..., ClientUpdate]) -> Callable[..., ClientUpdate]:
    """The malicious send what would make the target's vector one that everybody's embedding agrees with."""
    malicious = {SPLIT.train[client].tobytes() for client in MALICIOUS}

    def client_update(vectors: np.ndarray, histories: Sequence[np.ndarray]) -> ClientUpdate:
        updates = [honest(vectors, [history]) for history in histories]
        for at, history in enumerate(histories):
            if history.tobytes() in malicious:
                delta = np.zeros_like(vectors)
                delta[TARGET] = 10 * (4 * np.delete(vectors, TARGET, axis=0).mean(axis=0) - vectors[TARGET])
                sums = updates[at].sums
                updates[at] = ClientUpdate({**sums, "item_delta": sums["weight"] * delta}, updates[at].loss, 1)
        first, *others = updates
        return sum(others, start=first)

    return client_update


def exposure(aggregation: dict[str, Any]) -> tuple[float, float]:
    """What honest people are shown after ten rounds under attack, five items each.

    Returns:
        The share of those of the odd taste who are shown the target, and the share of all that anybody is shown,
        the target apart, that is of their taste.
    """
    run = recommender(aggregation)
    attacked = contributions(pushing(recommender({}).algorithm.client_update), run.settings.aggregation)
    algorithm = run.algorithm._replace(client_update=attacked)
    rounds = run_rounds(algorithm, simulation(algorithm, SPLIT.train, np.arange(60), 60, 7), run.start(), rounds=10)
    *_, (state, _) = rounds
    people = np.array([person for person in range(60) if person not in MALICIOUS])
    scores = fold_in_scorer(run.item_vectors(state), SPLIT.train, run.fold_in)(people)
    for row, person in enumerate(people):
        scores[row, SPLIT.train[person]] = -np.inf
    top = top_rows(scores, 5)
    shown = (top == TARGET).any(axis=1)[people % 2 == 1]
    fitting = (top % 2 == people[:, None] % 2)[top != TARGET]
    return float(shown.mean()), float(fitting.mean())


def test_a_few_clients_put_an_item_before_everybody_where_updates_are_averaged() -> None:
    assert exposure({"rule": "mean"})[0] > 0.95


@pytest.mark.parametrize(
    "aggregation",
    [
        {"rule": "trimmed_mean", "trim": 0.2},
        {"rule": "median", "group_size": 4},
        {"rule": "trimmed_mean", "trim": 0.3, "group_size": 4},
        {"clip_norm": 0.3},
    ],
    ids=str,
)
def test_the_same_clients_move_nobody_where_aggregation_is_robust_and_people_are_still_served(
    aggregation: dict[str, Any],
) -> None:
    shown, fitting = exposure(aggregation)
    assert shown < 0.1
    assert fitting > 0.95


BUNCH = load_digits()
INPUTS, LABELS = (BUNCH.data / 16).astype(np.float32), BUNCH.target.astype(np.int64)
DEVICES = [Examples(INPUTS[start:1500:10], LABELS[start:1500:10]) for start in range(10)]


def softmax_regression() -> KerasClient:
    layer = tf_keras.layers.Dense(10, "softmax", kernel_initializer="zeros", name="dense")
    return KerasClient(
        tf_keras.Sequential([tf_keras.Input((64,)), layer]),
        tf_keras.losses.sparse_categorical_crossentropy,
        LocalSgdSettings(epochs=5, learning_rate=0.5, batch_size=30),
        seed=1,
    )


def accuracy(client: KerasClient, start: ServerState, aggregation: dict[str, Any]) -> float:
    """On held-out digits after six rounds, in which three of ten devices send the opposite, five times over."""
    malicious = {id(DEVICES[device].labels) for device in (2, 5, 6)}

    def flipping(sent: Assignment, clients: Sequence[Examples]) -> ClientUpdate:
        updates = [client.client_update(sent, [examples]) for examples in clients]
        for at, examples in enumerate(clients):
            if id(examples.labels) in malicious:
                sums = {name: -5 * array for name, array in updates[at].sums.items() if name != "weight"}
                updates[at] = ClientUpdate(sums | {"weight": updates[at].sums["weight"]}, updates[at].loss, 1)
        first, *others = updates
        return sum(others, start=first)

    settings = AggregationSettings.model_validate(aggregation)
    algorithm = Algorithm(
        client.broadcast,
        contributions(flipping, settings),
        averaging(make_step(FedAvgServer())),
        make_aggregation(settings),
    )
    *_, (state, _) = run_rounds(algorithm, simulation(algorithm, DEVICES, np.arange(10), 10, 1), start, rounds=6)
    right = client.outputs(state.parameters, INPUTS[1500:]).argmax(axis=1) == LABELS[1500:]
    return float(right.mean())


def test_flipped_updates_break_the_mean_of_a_classifier_and_neither_median_nor_trimmed_mean() -> None:
    client = softmax_regression()
    start = ServerState(0, client.parameters())
    assert accuracy(client, start, {"rule": "mean"}) < 0.5
    assert accuracy(client, start, {"rule": "median"}) > 0.85
    assert accuracy(client, start, {"rule": "trimmed_mean", "trim": 0.3}) > 0.85
