"""The canary sings when training peeks, and only then."""

from collections.abc import Sequence

import numpy as np
import pytest

from feature_store.errors import BadInput
from tests.training.worlds import checkerboard
from training.canary import canary
from training.client_update import ClientUpdate
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.recommender import RecommenderAlgorithm, make_algorithm
from training.settings import AlgorithmSettings

SPLIT = checkerboard(people=30, items=140, met=20)


def parts(name: str) -> tuple[RecommenderAlgorithm, np.ndarray, AlgorithmSettings]:
    settings = AlgorithmSettings.model_validate({"algorithm": name, "dim": 8})
    tower = ItemTower(ItemFeatures.of_categories([()] * 140), 8)
    return make_algorithm(tower, 1, settings), tower.init(1, scale=1.0)["id_embedding"], settings


@pytest.mark.parametrize("name", ["curvature", "fedavg"])
def test_an_honest_training_leaves_the_canary_at_chance(name: str) -> None:
    algorithm, vectors, settings = parts(name)
    result = canary(algorithm, vectors, settings.fold_in(140), SPLIT)
    assert result.hr_10 == pytest.approx(0.1, abs=0.02)
    assert result.is_honest


def test_a_training_that_spares_the_test_items_is_found_out() -> None:
    """The mistake itself: test items are left out of the negatives, here by undoing their share of the update."""
    algorithm, vectors, settings = parts("fedavg")
    spared = {tuple(SPLIT.train[client]): SPLIT.test[client] for client in range(30)}

    def peeking(item_vectors: np.ndarray, histories: Sequence[np.ndarray]) -> ClientUpdate:
        update = algorithm.client_update(item_vectors, histories)
        delta = update.sums["item_delta"].copy()
        for history in histories:
            delta[spared[tuple(history)]] = 0
        return ClientUpdate({**update.sums, "item_delta": delta}, update.loss, update.clients)

    result = canary(algorithm._replace(client_update=peeking), vectors, settings.fold_in(140), SPLIT)
    assert result.hr_10 > 0.9
    assert not result.is_honest


def test_a_world_too_small_for_99_negatives_is_refused() -> None:
    algorithm, vectors, settings = parts("curvature")
    with pytest.raises(BadInput, match="99 items not met"):
        canary(algorithm, vectors[:40], settings.fold_in(40), checkerboard())
