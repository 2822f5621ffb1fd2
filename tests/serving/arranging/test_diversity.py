"""The order of a diverse list, against the definitions worked out anew at each step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.arrays import Float32Array, Float64Array
from serving.arranging.diversity import (
    ByValue,
    DeterminantalPointProcess,
    MaximalMarginalRelevance,
    Unlikeness,
    scaled,
    unlikeness_of,
)

weights = st.floats(0.05, 1.0)
seeds = st.integers(0, 2**32)


def world(seed: int, items: int = 12, dim: int = 5) -> tuple[Float64Array, Float32Array]:
    """Values that fall, two of them the same, and directions, the last zero as of an item that the model lacks."""
    random = np.random.default_rng(seed)
    values = np.sort(random.normal(size=items))[::-1].copy()
    values[3] = values[4]
    directions = random.normal(size=(items, dim))
    directions[-1] = 0
    lengths = np.maximum(np.linalg.norm(directions, axis=1), 1e-9)
    return values, (directions / lengths[:, None]).astype(np.float32)


def allowed_of(seed: int, items: int) -> np.ndarray:
    allowed = np.random.default_rng([seed, 1]).random(items) < 0.8
    allowed[0] = True
    return allowed


def cosine(directions: Float32Array, i: int, j: int) -> float:
    return float(directions[i].astype(np.float64) @ directions[j].astype(np.float64))


@given(seeds, weights)
def test_mmr_takes_the_best_by_its_definition_at_each_step(seed: int, weight: float) -> None:
    values, directions = world(seed)
    unit = (values - values.min()) / (values.max() - values.min())
    method, chosen = MaximalMarginalRelevance(values, directions, weight), []
    allowed = allowed_of(seed, len(values))
    while allowed.any():
        worth = {
            int(i): (1 - weight) * unit[i] - weight * max((cosine(directions, i, j) for j in chosen), default=0.0)
            for i in np.flatnonzero(allowed)
        }
        at = method.best(allowed)
        assert worth[at] == pytest.approx(max(worth.values()), abs=1e-6)
        method.take(at)
        chosen.append(at)
        allowed[at] = False


@given(seeds, weights)
def test_a_dpp_takes_what_adds_most_to_the_log_determinant(seed: int, weight: float) -> None:
    """Also where all directions are taken: the vectors have 5 numbers, and 12 items are chosen."""
    values, directions = world(seed)
    theta = min(4 * (1 - weight) / weight, 60)
    quality = np.exp(theta * (values - values.min()) / (values.max() - values.min()) / 2)
    similar = 0.99 * directions.astype(np.float64) @ directions.astype(np.float64).T
    np.fill_diagonal(similar, 1.0)
    L = quality[:, None] * similar * quality[None, :]
    method, chosen = DeterminantalPointProcess(values, directions, weight), []
    allowed = allowed_of(seed, len(values))
    while allowed.any():
        found = {int(i): np.linalg.slogdet(L[np.ix_([*chosen, i], [*chosen, i])])[1] for i in np.flatnonzero(allowed)}
        at = method.best(allowed)
        assert found[at] == pytest.approx(max(found.values()), abs=1e-3)
        method.take(at)
        chosen.append(at)
        allowed[at] = False


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_of_two_alike_the_second_waits_for_one_that_is_unlike(method: str) -> None:
    directions = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    chosen = order(unlikeness_of(method, 0.5, np.array([1.0, 0.9, 0.5]), directions), 3, 3)
    assert chosen == [0, 2, 1]


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_a_weight_of_nought_is_by_value_and_of_next_to_nothing_nearly_so(method: str) -> None:
    values, directions = world(3)
    assert isinstance(unlikeness_of(method, 0.0, values, directions), ByValue)
    values = np.linspace(1, 0, 12)
    assert order(unlikeness_of(method, 1e-4, values, directions), 12, 11) == list(range(11))


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_a_weight_of_one_looks_at_unlikeness_alone(method: str) -> None:
    directions = np.array([[1, 0, 0], [0.9, np.sqrt(0.19), 0], [0.1, 0, np.sqrt(0.99)], [0, 1, 0]], np.float32)
    assert order(unlikeness_of(method, 1.0, np.array([9.0, 8.0, 7.0, 6.0]), directions), 4, 2) == [0, 3]


def test_values_are_brought_to_0_to_1_and_those_without_one_are_last() -> None:
    assert scaled(np.array([3.0, 2.0, -1.0, -np.inf])).tolist() == [1.0, 0.75, 0.0, 0.0]
    assert scaled(np.array([5.0, 5.0])).tolist() == [1.0, 1.0]
    assert scaled(np.array([-np.inf])).tolist() == [0.0]


def order(method: Unlikeness, items: int, k: int) -> list[int]:
    """The first k of as many items or more."""
    chosen: list[int] = []
    allowed = np.ones(items, np.bool_)
    for _ in range(k):
        chosen.append(method.best(allowed))
        method.take(chosen[-1])
        allowed[chosen[-1]] = False
    return chosen
