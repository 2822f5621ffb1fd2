"""The item tower and the chain rule."""

import numpy as np

from training.item_features import ItemFeatures
from training.item_tower import ItemTower

CATEGORIES = [("a", "b"), ("b",), (), ("c", "a")]


def random_parameters(tower: ItemTower) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    return {n: random.standard_normal(a.shape).astype(np.float32) for n, a in tower.init(0).items()}


def test_an_item_vector_is_its_embedding_plus_the_mean_of_its_categories() -> None:
    tower = ItemTower(ItemFeatures.of_categories(CATEGORIES), dim=3)
    parameters = random_parameters(tower)
    ids, (_, a, b, c) = parameters["id_embedding"], parameters["category_embedding"]
    expected = np.stack([ids[0] + (a + b) / 2, ids[1] + b, ids[2], ids[3] + (a + c) / 2])
    np.testing.assert_allclose(tower.item_vectors(parameters), expected, rtol=1e-5, atol=1e-6)


def test_without_features_the_tower_is_its_id_embedding() -> None:
    tower = ItemTower(ItemFeatures.of_categories([()] * 4), dim=3)
    parameters = random_parameters(tower)
    assert parameters.keys() == {"id_embedding"}
    np.testing.assert_array_equal(tower.item_vectors(parameters), parameters["id_embedding"])
    gradient = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(tower.pull_back(parameters, gradient)["id_embedding"], gradient)


def test_pull_back_is_the_derivative_of_the_weighted_vectors() -> None:
    """Central differences of <gradient, Q(parameters)> are the oracle; the tower is linear, so they are exact."""
    tower = ItemTower(ItemFeatures.of_categories(CATEGORIES), dim=2)
    parameters = random_parameters(tower)
    gradient = np.random.default_rng(9).standard_normal((4, 2)).astype(np.float32)
    pulled = tower.pull_back(parameters, gradient)
    for name, array in parameters.items():
        for index in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = {n: a.copy() for n, a in parameters.items()}
                moved[name][index] += sign
                ends.append(float((gradient * tower.item_vectors(moved)).sum()))
            np.testing.assert_allclose(pulled[name][index], (ends[0] - ends[1]) / 2, atol=1e-4)


def test_the_start_follows_from_the_seed_and_has_the_stated_length() -> None:
    tower = ItemTower(ItemFeatures.of_categories([("x",)] * 500), dim=16)
    first, again, other = tower.init(1), tower.init(1), tower.init(2)
    np.testing.assert_array_equal(first["id_embedding"], again["id_embedding"])
    assert (first["id_embedding"] != other["id_embedding"]).all()
    lengths = np.linalg.norm(first["id_embedding"], axis=1)
    assert 0.09 < lengths.mean() < 0.11
    assert not first["category_embedding"].any()
