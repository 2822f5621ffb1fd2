"""The item tower and the chain rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.fold_in import FoldInSettings
from training.client_update import ClientUpdate
from training.item_features import ItemFeatures, NamedColumn
from training.item_tower import ItemTower
from training.reconstruction import curvature_update
from training.tower_network import layer_names

CATEGORIES = [("a", "b"), ("b",), (), ("c", "a")]


def all_kinds() -> ItemFeatures:
    random = np.random.default_rng(8)
    named = {"category": NamedColumn.of(CATEGORIES), "brand": NamedColumn.of([("x",), ("y",), ("x",), ()])}
    numeric = random.standard_normal((4, 2)).astype(np.float32)
    return ItemFeatures(4, named, numeric, random.standard_normal((4, 5)).astype(np.float32))


def random_parameters(tower: ItemTower) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    return {n: random.standard_normal(a.shape).astype(np.float32) for n, a in tower.init(0).items()}


def test_an_item_vector_is_its_embedding_plus_the_mean_of_its_categories() -> None:
    tower = ItemTower(ItemFeatures.of_categories(CATEGORIES), dim=3)
    parameters = random_parameters(tower)
    ids, (_, a, b, c) = parameters["id_embedding"], parameters["category_embedding"]
    expected = np.stack([ids[0] + (a + b) / 2, ids[1] + b, ids[2], ids[3] + (a + c) / 2])
    np.testing.assert_allclose(tower.item_vectors(parameters), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tower.content_vectors(parameters), expected - ids, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [0, 7])
def test_columns_numbers_and_text_add_up(width: int) -> None:
    """Written out in numpy, with a hidden layer of rectified units and without."""
    features = all_kinds()
    tower = ItemTower(features, dim=3, text_width=width)
    parameters = random_parameters(tower)
    _, a, b, c = parameters["category_embedding"]
    _, x, y = parameters["brand_embedding"]
    content = np.stack([(a + b) / 2 + x, b + y, x, (a + c) / 2])
    content += features.numeric @ parameters["numeric_projection/kernel"]
    text = features.text
    if width:
        text = np.maximum(text @ parameters["text_hidden/kernel"] + parameters["text_hidden/bias"], 0)
    content += text @ parameters["text_projection/kernel"] + parameters["text_projection/bias"]
    np.testing.assert_allclose(tower.content_vectors(parameters), content, rtol=1e-4, atol=1e-5)
    vectors = tower.item_vectors(parameters)
    np.testing.assert_allclose(vectors, content + parameters["id_embedding"], rtol=1e-4, atol=1e-5)


def test_without_features_the_tower_is_its_id_embedding() -> None:
    tower = ItemTower(ItemFeatures(4), dim=3)
    parameters = random_parameters(tower)
    assert parameters.keys() == {"id_embedding"}
    assert not tower.has_content
    np.testing.assert_array_equal(tower.item_vectors(parameters), parameters["id_embedding"])
    np.testing.assert_array_equal(tower.content_vectors(parameters), np.zeros((4, 3)))
    gradient = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(tower.pull_back(parameters, gradient)["id_embedding"], gradient)


def test_pull_back_is_the_derivative_of_the_weighted_vectors() -> None:
    """Central differences of <gradient, Q(parameters)> are the oracle; the tower is linear, so they are exact."""
    tower = ItemTower(all_kinds(), dim=2)
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


@pytest.fixture(scope="module")
def with_hidden_layer() -> ItemTower:
    return ItemTower(all_kinds(), dim=2, text_width=6)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_push_forward_and_pull_back_are_each_others_transpose(with_hidden_layer: ItemTower, seed: int) -> None:
    """<J v, g> = <v, Jᵀ g> for all v and g, also where the tower is not linear."""
    random = np.random.default_rng(seed)
    parameters = random_parameters(with_hidden_layer)
    direction = {n: random.standard_normal(a.shape).astype(np.float32) for n, a in parameters.items()}
    gradient = random.standard_normal((4, 2)).astype(np.float32)
    pushed = float((with_hidden_layer.push_forward(parameters, direction) * gradient).sum())
    pulled = with_hidden_layer.pull_back(parameters, gradient)
    expected = sum(float((pulled[n] * direction[n]).sum()) for n in parameters if n != "id_embedding")
    assert pushed == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_start_follows_from_the_seed_and_has_the_stated_length() -> None:
    tower = ItemTower(ItemFeatures.of_categories([("x",)] * 500), dim=16)
    first, again, other = tower.init(1), tower.init(1), tower.init(2)
    np.testing.assert_array_equal(first["id_embedding"], again["id_embedding"])
    assert (first["id_embedding"] != other["id_embedding"]).all()
    lengths = np.linalg.norm(first["id_embedding"], axis=1)
    assert 0.09 < lengths.mean() < 0.11
    assert not first["category_embedding"].any()


def test_a_hidden_layer_starts_away_from_zero_and_content_at_zero(with_hidden_layer: ItemTower) -> None:
    parameters = with_hidden_layer.init(3)
    assert np.std(parameters["text_hidden/kernel"]) == pytest.approx(np.sqrt(2 / 5), rel=0.4)
    np.testing.assert_array_equal(with_hidden_layer.content_vectors(parameters), np.zeros((4, 2)))


def test_the_same_parameters_are_given_the_same_vectors_which_nobody_can_change() -> None:
    tower = ItemTower(all_kinds(), dim=2)
    one, other = tower.init(1), tower.init(2)
    vectors = tower.item_vectors(one)
    assert tower.item_vectors(one) is vectors
    np.testing.assert_array_equal(tower.item_vectors(other), other["id_embedding"])
    np.testing.assert_array_equal(tower.item_vectors(one), vectors)
    with pytest.raises(ValueError, match="read-only"):
        vectors[0] = 0


def test_a_tower_a_hundred_times_larger_changes_nothing_about_what_a_client_sends() -> None:
    random = np.random.default_rng(2)
    small = ItemTower(ItemFeatures.of_categories([("a",)] * 50), dim=4)
    large = ItemTower(ItemFeatures(50, text=random.standard_normal((50, 100)).astype(np.float32)), 4, text_width=250)
    sizes, updates = [], []
    for tower in (small, large):
        parameters = tower.init(1)
        sizes.append(sum(array.size for array in parameters.values()))
        history = np.array([3, 17, 40], np.int32)
        updates.append(curvature_update(tower.item_vectors(parameters), [history], FoldInSettings(0.1, 0.01)))
    assert sizes[1] >= 100 * sizes[0]
    assert shapes(updates[0]) == shapes(updates[1])
    assert updates[0].uplink_bytes == updates[1].uplink_bytes


def shapes(update: ClientUpdate) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in update.sums.items()}


def test_columns_whose_names_tensorflow_cannot_tell_apart_get_layers_of_their_own() -> None:
    columns = ["a b", "a-b", "(x)", "id"]
    assert layer_names(columns) == ["a_b_embedding", "a_b_embedding_1", "x_x_embedding", "id_embedding_3"]
    named = {column: NamedColumn.of([("n",), ("m",)]) for column in columns}
    assert set(ItemTower(ItemFeatures(2, named), dim=1).init(1)) == {"id_embedding", *layer_names(columns)}
