"""Fitting the content part of the tower to item vectors."""

from itertools import pairwise

import numpy as np

from training.content_fit import fit_content, placed
from training.item_features import ItemFeatures, NamedColumn
from training.item_tower import ItemTower
from training.tower_settings import TowerSettings

RHO = 2.0


def features(items: int = 60) -> ItemFeatures:
    random = np.random.default_rng(1)
    cells = [tuple(random.choice(list("abcde"), random.integers(0, 3), replace=False)) for _ in range(items)]
    numeric = random.standard_normal((items, 1)).astype(np.float32)
    return ItemFeatures(items, {"category": NamedColumn.of(cells)}, numeric, random.random((items, 4), np.float32))


def problem(tower: ItemTower) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    return random.standard_normal((tower.items, tower.dim)).astype(np.float32), random.random(tower.items) < 0.7


def test_a_linear_tower_gets_the_solution_of_the_ridge_regression_on_the_items_that_were_met() -> None:
    """The oracle has the design matrix written out, and solves the normal equations in double precision."""
    what = features()
    tower = ItemTower(what, dim=3)
    target, met = problem(tower)
    numbers = what.named["category"].numbers
    shares = np.stack([(numbers == n).sum(axis=1) for n in range(1, 6)], axis=1)
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1)
    design = np.concatenate([shares, what.numeric, what.text, np.ones((60, 1))], axis=1).astype(np.float64)
    known = design[met]
    weights = np.linalg.solve(known.T @ known + RHO * np.eye(design.shape[1]), known.T @ target[met])
    theta, content = fit_content(tower, tower.init(1), target, met, regularization=RHO, iterations=60)
    np.testing.assert_allclose(content, design @ weights, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(theta["category_embedding"][1:], weights[:5], rtol=1e-3, atol=1e-4)


def test_a_fit_that_goes_on_from_another_comes_to_the_same_place() -> None:
    tower = ItemTower(features(), dim=3)
    target, met = problem(tower)
    start = tower.init(1)
    once, _ = fit_content(tower, start, target, met, regularization=RHO, iterations=60)
    some, _ = fit_content(tower, start, -target, met, regularization=RHO, iterations=3)
    after, _ = fit_content(tower, {**start, **some}, target, met, regularization=RHO, iterations=60)
    for name, array in once.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-3, atol=1e-4)


def test_with_a_hidden_layer_each_fit_explains_no_less_than_the_one_before_and_in_the_end_much_more() -> None:
    what = features()
    tower = ItemTower(what, dim=2, text_width=8)
    parameters = tower.init(1)
    target = np.stack([np.abs(what.text[:, 0] - 0.5), what.text[:, 1] ** 2], axis=1).astype(np.float32) * 10
    met = np.ones(60, np.bool_)
    misfits = []
    for _ in range(12):
        theta, content = fit_content(tower, parameters, target, met, regularization=0.01, iterations=10)
        parameters = {**parameters, **theta}
        squares = sum(float((a.astype(np.float64) ** 2).sum()) for a in theta.values())
        misfits.append(float(((content - target) ** 2).sum()) + 0.01 * squares)
    assert all(later <= earlier * (1 + 1e-5) for earlier, later in pairwise(misfits))
    linear = ItemTower(what, dim=2)
    _, content = fit_content(linear, linear.init(1), target, met, regularization=0.01, iterations=60)
    assert misfits[-1] < 0.8 * float(((content - target) ** 2).sum())


def test_placed_items_that_were_met_are_at_their_target_and_the_others_at_their_content() -> None:
    tower = ItemTower(features(), dim=3)
    target, met = problem(tower)
    parameters = placed(tower, tower.init(1), target, met, TowerSettings(content_regularization=RHO))
    vectors = tower.item_vectors(parameters)
    np.testing.assert_allclose(vectors[met], target[met], atol=1e-5)
    np.testing.assert_array_equal(vectors[~met], tower.content_vectors(parameters)[~met])
    assert np.abs(vectors[~met]).max() > 0.1
