"""The curvature-aware server step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings
from tests.training.worlds import checkerboard
from training.client_update import ClientUpdate
from training.curvature import curvature, newton_step
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.reconstruction import curvature_update
from training.server_state import ServerState
from training.settings import CurvatureSettings
from training.tower_settings import TowerSettings

WEIGHTS = FoldInSettings(alpha=0.3, regularization=0.02)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 5))
def test_a_newton_step_solves_each_items_system(seed: int, dim: int, items: int) -> None:
    random = np.random.default_rng(seed)
    factors = random.standard_normal((dim + 2, dim))
    gram = (factors.T @ factors).astype(np.float32)
    gradient = random.standard_normal((items, dim)).astype(np.float32)
    share, ridge = (random.uniform(0.1, 1, (items, 1)).astype(np.float32) for _ in range(2))
    step = newton_step(gradient, gram, share, ridge)
    for item in range(items):
        expected = np.linalg.solve(share[item] * gram.astype(np.float64) + ridge[item] * np.eye(dim), gradient[item])
        np.testing.assert_allclose(step[item], expected, rtol=5e-3, atol=1e-3)


def test_where_nothing_is_known_nothing_moves() -> None:
    step = newton_step(
        np.ones((2, 3), np.float32),
        np.zeros((3, 3), np.float32),
        np.ones((2, 1), np.float32),
        np.zeros((2, 1), np.float32),
    )
    np.testing.assert_array_equal(step, np.zeros((2, 3)))


def test_one_full_step_with_everybody_is_the_formula_of_the_paper_page() -> None:
    """The step of architecture decision 2, written out item by item in double precision."""
    split = checkerboard()
    tower = ItemTower(ItemFeatures.of_categories([()] * 40), dim=4)
    Q = tower.init(1, scale=1.0)["id_embedding"]
    optimizer = curvature(tower, WEIGHTS, 60, CurvatureSettings(learning_rate=0.5))
    state = ServerState(0, {"id_embedding": Q}, optimizer.init({"id_embedding": Q}))
    update = curvature_update(Q, list(split.train), WEIGHTS, activity_exponent=0.5)
    after = optimizer.apply(state, update)

    sums = {name: array.astype(np.float64) for name, array in update.sums.items()}
    values, V = np.linalg.eigh(sums["user_gram"])
    for item in range(40):
        ridge = WEIGHTS.regularization * (sums["item_counts"][item] + WEIGHTS.alpha * 60) * sums["activity"][0] / 60
        gradient = sums["item_gradient"][item] + WEIGHTS.alpha * sums["user_gram"] @ Q[item] + ridge * Q[item]
        share = sums["item_energy"][item] / np.trace(sums["user_gram"])
        expected = Q[item] - 0.5 * V @ ((V.T @ gradient) / ((share + WEIGHTS.alpha) * values + ridge))
        np.testing.assert_allclose(after.parameters["id_embedding"][item], expected, rtol=1e-3, atol=1e-4)
    assert after.round_number == 1


def test_a_cohort_stands_for_the_population() -> None:
    """Half of the people, each twice as heavy: the same step as with everybody, where everybody is there twice."""
    split = checkerboard()
    tower = ItemTower(ItemFeatures.of_categories([()] * 40), dim=4)
    Q = tower.init(1, scale=1.0)["id_embedding"]
    state = ServerState(
        0, {"id_embedding": Q}, curvature(tower, WEIGHTS, 1, CurvatureSettings()).init({"id_embedding": Q})
    )
    half = curvature_update(Q, list(split.train), WEIGHTS)
    by_half = curvature(tower, WEIGHTS, 120, CurvatureSettings()).apply(state, half)
    by_all = curvature(tower, WEIGHTS, 120, CurvatureSettings()).apply(state, half + half)
    np.testing.assert_allclose(by_half.parameters["id_embedding"], by_all.parameters["id_embedding"], rtol=1e-5)


def test_running_means_keep_their_share_of_the_rounds_before() -> None:
    tower = ItemTower(ItemFeatures.of_categories([()] * 2), dim=1)
    optimizer = curvature(tower, WEIGHTS, 10, CurvatureSettings(momentum=0.75))
    parameters = {"id_embedding": np.ones((2, 1), np.float32)}
    state = ServerState(0, parameters, optimizer.init(parameters))
    for counts in ([4.0, 0.0], [8.0, 4.0]):
        sums = {
            "item_gradient": np.zeros((2, 1), np.float32),
            "user_gram": np.ones((1, 1), np.float32),
            "item_energy": np.ones(2, np.float32),
            "item_counts": np.array(counts, np.float32),
            "activity": np.full(1, 10.0, np.float32),
        }
        state = optimizer.apply(state, ClientUpdate(sums, loss=0.0, clients=10))
    np.testing.assert_allclose(state.statistics["item_counts"], [0.75 * 4 + 0.25 * 8, 0.25 * 4])


def test_an_update_of_more_clients_than_there_are_is_refused() -> None:
    tower = ItemTower(ItemFeatures.of_categories([()] * 40), dim=4)
    parameters = tower.init(1)
    optimizer = curvature(tower, WEIGHTS, 59, CurvatureSettings())
    update = curvature_update(parameters["id_embedding"], list(checkerboard().train), WEIGHTS)
    with pytest.raises(BadInput, match="60 clients cannot stand for a population of 59"):
        optimizer.apply(ServerState(0, parameters, optimizer.init(parameters)), update)


def zero_update(item_gradient: np.ndarray, counts: list[float]) -> ClientUpdate:
    """Of clients whose embeddings are zero: the curvature is the ridge alone, and each step can be written down."""
    items, dim = item_gradient.shape
    sums = {
        "item_gradient": item_gradient,
        "user_gram": np.zeros((dim, dim), np.float32),
        "item_energy": np.zeros(items, np.float32),
        "item_counts": np.array(counts, np.float32),
        "activity": np.full(1, 10.0, np.float32),
    }
    return ClientUpdate(sums, loss=0.0, clients=10)


def test_over_the_rounds_steps_shrink_and_features_change_no_vector_that_clients_have_trained() -> None:
    tower = ItemTower(ItemFeatures.of_categories([("a",), ("a", "b"), ("b",)]), dim=2)
    optimizer = curvature(tower, WEIGHTS, 10, CurvatureSettings(learning_rate=0.6, decay_rounds=2.0, momentum=0.0))
    parameters = tower.init(1, scale=1.0)
    state = ServerState(0, parameters, optimizer.init(parameters))
    ridge = WEIGHTS.regularization * (1 + WEIGHTS.alpha * 10)
    vectors = parameters["id_embedding"]
    random = np.random.default_rng(6)
    for t in range(4):
        item_gradient = random.standard_normal((3, 2)).astype(np.float32)
        state = optimizer.apply(state, zero_update(item_gradient, [1, 1, 1]))
        vectors = vectors - 0.6 / (1 + t / 2) * (item_gradient + ridge * vectors) / ridge
        np.testing.assert_allclose(tower.item_vectors(state.parameters), vectors, rtol=1e-3, atol=1e-3)
    assert state.parameters["category_embedding"][1:].any(axis=1).all()


def test_an_item_that_nobody_has_met_has_the_vector_of_its_content_until_somebody_does() -> None:
    tower = ItemTower(ItemFeatures.of_categories([("a",), ("a",), ("a",), ("b",)]), dim=2)
    optimizer = curvature(
        tower, WEIGHTS, 10, CurvatureSettings(momentum=0.0), TowerSettings(content_regularization=0.1)
    )
    parameters = tower.init(1, scale=1.0)
    state = ServerState(0, parameters, optimizer.init(parameters))
    gradient = np.random.default_rng(6).standard_normal((4, 2)).astype(np.float32)
    for counts in ([1, 1, 0, 0], [0, 1, 0, 0]):
        state = optimizer.apply(state, zero_update(gradient, counts))
        ids, vectors = state.parameters["id_embedding"], tower.item_vectors(state.parameters)
        assert ids.any(axis=1).tolist() == [True, True, False, False]  # item 0 was met in the first round
        np.testing.assert_allclose(vectors[2], vectors[:2].mean(axis=0) * 2 / (2 + 0.1), rtol=1e-3)
        np.testing.assert_array_equal(vectors[3], np.zeros(2))  # of category b nobody has met anything
    state = optimizer.apply(state, zero_update(gradient, [0, 0, 1, 0]))
    assert state.parameters["id_embedding"].any(axis=1).tolist() == [True, True, True, False]
