"""The canary sings when training peeks, and only then."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from feature_store.errors import BadInput
from tests.training.worlds import checkerboard
from training.canary import canary
from training.client_update import ClientUpdate
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.losses.names import LossName
from training.recommender import RecommenderAlgorithm, make_algorithm
from training.settings import AlgorithmSettings

SPLIT = checkerboard(people=30, items=140, met=20)


def parts(name: str, loss: LossName = "quadratic") -> tuple[RecommenderAlgorithm, np.ndarray, AlgorithmSettings]:
    fields = {"fedavg": {"loss": loss, "negatives": 100}} if name == "fedavg" else {}
    settings = AlgorithmSettings.model_validate({"algorithm": name, "dim": 8, **fields})
    tower = ItemTower(ItemFeatures.of_categories([()] * 140), 8)
    return make_algorithm(tower, 1, settings), tower.init(1, scale=1.0)["id_embedding"], settings


@pytest.mark.parametrize(
    ("name", "loss"),
    [("curvature", "quadratic"), ("fedavg", "quadratic"), ("fedavg", "softmax"), ("fedavg", "logistic")],
)
def test_an_honest_training_leaves_the_canary_at_chance(name: str, loss: LossName) -> None:
    algorithm, vectors, settings = parts(name, loss)
    result = canary(algorithm, vectors, settings.fold_in(140), SPLIT)
    assert result.hr_10 == pytest.approx(0.1, abs=0.02)
    assert result.is_honest


def test_honest_draws_leave_the_canary_at_chance_and_draws_that_spare_the_test_items_do_not() -> None:
    """Which negatives were drawn is chance, so that the canary is near it only on average over people."""
    algorithm, vectors, settings = parts("fedavg", "sampled_logistic")
    assert canary(algorithm, vectors, settings.fold_in(140), SPLIT, rounds=3).is_honest
    peeking = algorithm._replace(client_update=sparing_test_items(algorithm))
    assert canary(peeking, vectors, settings.fold_in(140), SPLIT, rounds=3).hr_10 > 0.9


def test_the_canary_does_not_take_a_high_score_for_a_spared_one() -> None:
    """Softmax pushes high scores most, and an embedding that has learnt gives its test items high scores."""
    algorithm, vectors, settings = parts("fedavg", "softmax")
    vectors[:, 0] = np.where(np.arange(140) % 2 == 0, 2.0, -2.0)  # what people like, even or odd, is in the vectors
    assert canary(algorithm, vectors, settings.fold_in(140), SPLIT).hr_10 == pytest.approx(0.1, abs=0.02)


def test_a_training_that_spares_the_test_items_is_found_out() -> None:
    """The mistake itself: test items are left out of the negatives, here by undoing their share of the update."""
    algorithm, vectors, settings = parts("fedavg")
    peeking = algorithm._replace(client_update=sparing_test_items(algorithm))
    result = canary(peeking, vectors, settings.fold_in(140), SPLIT)
    assert result.hr_10 > 0.9
    assert not result.is_honest


def sparing_test_items(algorithm: RecommenderAlgorithm) -> Callable[[np.ndarray, Sequence[np.ndarray]], ClientUpdate]:
    spared = {tuple(SPLIT.train[client]): SPLIT.test[client] for client in range(30)}

    def peeking(item_vectors: np.ndarray, histories: Sequence[np.ndarray]) -> ClientUpdate:
        update = algorithm.client_update(item_vectors, histories)
        delta = update.sums["item_delta"].copy()
        for history in histories:
            delta[spared[tuple(history)]] = 0
        return ClientUpdate({**update.sums, "item_delta": delta}, update.loss, update.clients)

    return peeking


def test_a_world_too_small_for_99_negatives_is_refused() -> None:
    algorithm, vectors, settings = parts("curvature")
    with pytest.raises(BadInput, match="99 items not met"):
        canary(algorithm, vectors[:40], settings.fold_in(40), checkerboard())
