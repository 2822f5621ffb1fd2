"""The content part of the item tower, fitted to item vectors on the server: regression with a ridge.

Clients train item vectors; what an item's features say of its vector is the regression of those on the features
(Gantner et al. 2010, "Learning attribute-to-feature mappings for cold-start recommendations"; as a prior within
training: Agarwal and Chen 2009, "Regression-based latent factor models"). An item that nobody has met has no other.

    minimise over θ    Σ_{i met} |content_i(θ) − t_i|²  +  ρ |θ|²

Each item that was met counts the same, however many met it: the items to come are like the catalogue, and most of a
catalogue is met by few. Near a θ the content is linear, content(θ + δ) ≈ content(θ) + Jδ, and δ solves

    (JᵀMJ + ρ) δ = JᵀM (t − content(θ)) − ρ θ        M keeps the rows of the items that were met

which conjugate gradients do with products of J and of Jᵀ alone, the tower's push-forward and pull-back (Martens 2010,
"Deep learning via Hessian-free optimization"). Columns of names and linear projections are linear throughout: then
the solution is the ridge regression's. With a hidden layer it is a Gauss-Newton step, taken as far as it gains.
"""

from collections.abc import Callable

import numpy as np

from feature_store.arrays import BoolArray, Float32Array
from training.item_tower import ItemTower, Parameters
from training.named_arrays import NamedArrays, mapped, zeros
from training.tower_network import ID_EMBEDDING
from training.tower_settings import TowerSettings

HALVINGS = 4  # of a step that a hidden layer makes too long
NOTHING_LEFT = 1e-10  # of the squared residual: float32 has no more to give


def placed(
    tower: ItemTower, parameters: Parameters, target: Float32Array, met: BoolArray, settings: TowerSettings
) -> Parameters:
    """Parameters that give the items that were met the vectors of `target`, and the others those of their content.

    Of a tower without a content part the id embedding is the target.
    """
    if not tower.has_content:
        return {**parameters, ID_EMBEDDING: target}
    theta, content = fit_content(
        tower,
        parameters,
        target,
        met,
        regularization=settings.content_regularization,
        iterations=settings.content_iterations,
    )
    return {**theta, ID_EMBEDDING: np.where(met[:, None], target - content, np.float32(0))}


def fit_content(
    tower: ItemTower,
    parameters: Parameters,
    target: Float32Array,
    met: BoolArray,
    *,
    regularization: float,
    iterations: int,
) -> tuple[NamedArrays, Float32Array]:
    """Fit the content part, from where it is.

    Args:
        tower: whose content part is fitted.
        parameters: of the tower; the id embedding among them does not matter.
        target: the item vectors to be explained, shape (items, dim).
        met: the items that count, shape (items,).
        regularization: ρ > 0.
        iterations: of the conjugate gradients; each costs a push-forward and a pull-back.

    Returns:
        The parameters of the content part, and the content vectors that they give, shape (items, dim). They fit no
        worse than those it began with.
    """
    rows = met[:, None].astype(np.float32)
    ids = parameters[ID_EMBEDDING]
    theta: NamedArrays = {name: array for name, array in parameters.items() if name != ID_EMBEDDING}

    def pulled(residual: Float32Array) -> NamedArrays:
        return tower.pull_back_content(parameters, rows * residual)

    def normal(direction: NamedArrays) -> NamedArrays:
        return _plus(pulled(tower.push_forward(parameters, direction)), regularization, direction)

    def misfit(content: Float32Array, at: NamedArrays) -> float:
        residual = rows * (content - target)
        return float(np.vdot(residual, residual)) + regularization * _dot(at, at)

    content = tower.content_vectors(parameters)
    before = misfit(content, theta)
    step = _conjugate_gradients(normal, _plus(pulled(target - content), -regularization, theta), iterations)
    for halving in range(HALVINGS):
        moved = _plus(theta, 0.5**halving, step)
        vectors = tower.content_vectors({**moved, ID_EMBEDDING: ids})
        if misfit(vectors, moved) <= before:
            return moved, vectors
    return theta, content


def _conjugate_gradients(
    normal: Callable[[NamedArrays], NamedArrays], right: NamedArrays, iterations: int
) -> NamedArrays:
    """δ with normal(δ) ≈ right, begun at zero (Hestenes and Stiefel 1952)."""
    solution: NamedArrays = zeros(right)
    residual = direction = right
    length = start = _dot(right, right)
    for _ in range(iterations):
        if length <= NOTHING_LEFT * start:
            break
        image = normal(direction)
        rate = length / _dot(direction, image)
        solution, residual = _plus(solution, rate, direction), _plus(residual, -rate, image)
        previous, length = length, _dot(residual, residual)
        direction = _plus(residual, length / previous, direction)
    return solution


def _plus(one: NamedArrays, factor: float, other: NamedArrays) -> NamedArrays:
    """`one` + factor · other."""
    return mapped(lambda a, b: a + np.float32(factor) * b, one, other)


def _dot(one: NamedArrays, other: NamedArrays) -> float:
    return sum(float(np.vdot(array, other[name])) for name, array in one.items())
