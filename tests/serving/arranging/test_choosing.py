"""The order of a list, against the definitions worked out anew at each step."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.arrays import Float32Array, Float64Array
from serving.arranging.choosing import BEST, BY_VALUE, DPP, MMR, PROMOTED, choose

METHODS = [MMR, DPP]
weights = st.floats(0.05, 1.0)
seeds = st.integers(0, 2**32)


def chosen(
    values: Sequence[float] | Float64Array,
    directions: Float32Array | None = None,
    method: int = BY_VALUE,
    weight: float = 0.0,
    k: int = 10,
    names: Sequence[int] = (),
    most: int = 1,
    sources: Sequence[Sequence[int]] = (),
    owed: Sequence[int] = (),
    rules: Sequence[tuple[int, Sequence[int]]] = (),
) -> list[tuple[int, int]]:
    """Which items stand in a list, and why each does.

    directions: vectors of the items that the model knows, the first ones; of any length.
    names: of the field of a cap of `most`; () for no cap.
    sources: what each of those proposed to which something is owed; all items may stand anywhere.
    rules: position, and items that are promoted there.
    """
    n = len(values)
    vectors = np.zeros((0, 1), np.float32) if directions is None else directions
    at = [*(item for source in sources for item in source), *range(n)]
    holds = np.array([[item in items for item in range(n)] for _, items in rules], np.bool_).reshape(len(rules), n)
    items, reasons = np.empty(k, np.int32), np.empty(k, np.int32)
    count = choose(
        np.asarray(values, np.float64),
        np.arange(n, dtype=np.int32),
        vectors,
        np.linalg.norm(vectors.astype(np.float64), axis=1).astype(np.float32),
        vectors.shape[1],
        method,
        weight,
        np.array([names] if len(names) else [], np.int32).reshape(int(len(names) > 0), n),
        np.array([most] if len(names) else [], np.int64),
        np.array(at, np.int32),
        np.cumsum([0, *map(len, sources)]),
        np.array(owed, np.int64),
        len(at),
        holds,
        np.array([position for position, _ in rules], np.int64),
        items,
        reasons,
    )
    return list(zip(items[:count].tolist(), reasons[:count].tolist(), strict=True))


def order(*arguments: Any, **settings: Any) -> list[int]:
    return [item for item, _ in chosen(*arguments, **settings)]


def world(seed: int, items: int = 12, dim: int = 5) -> tuple[Float64Array, Float32Array]:
    """Values that fall, two of them the same, and vectors, of which one is zero and the last two items have none."""
    random = np.random.default_rng(seed)
    values = np.sort(random.normal(size=items))[::-1].copy()
    values[3] = values[4]
    vectors = random.normal(size=(items - 2, dim)).astype(np.float32)
    vectors[2] = 0
    return values, vectors


def cosines(vectors: Float32Array, items: int) -> Float64Array:
    """Of all pairs, shape (items, items); 0 of those without a vector."""
    wide = np.zeros((items, vectors.shape[1]))
    wide[: len(vectors)] = vectors
    lengths = np.linalg.norm(wide, axis=1)
    unit = wide / np.where(lengths > 0, lengths, 1)[:, None]
    result: Float64Array = unit @ unit.T
    return result


def left_of(taken: Sequence[int], names: Sequence[int], most: int) -> list[int]:
    """What a cap still allows; -1 is no name."""
    counts = Counter(names[item] for item in taken)
    return [
        item for item in range(len(names)) if item not in taken and (names[item] == -1 or counts[names[item]] < most)
    ]


def names_of(seed: int, items: int) -> list[int]:
    return [int(one) for one in np.random.default_rng([seed, 1]).integers(-1, 4, items)]


@given(seeds, weights, st.integers(1, 3))
def test_mmr_takes_the_best_by_its_definition_at_each_step(seed: int, weight: float, most: int) -> None:
    values, vectors = world(seed)
    unit = (values - values.min()) / (values.max() - values.min())
    alike, names, taken = cosines(vectors, len(values)), names_of(seed, len(values)), list[int]()
    for at in order(values, vectors, MMR, weight, 12, names, most):
        worth = {
            item: (1 - weight) * unit[item] - weight * max((alike[item, one] for one in taken), default=0.0)
            for item in left_of(taken, names, most)
        }
        assert worth[at] == pytest.approx(max(worth.values()), abs=1e-6)
        taken.append(at)
    assert left_of(taken, names, most) == []


@given(seeds, weights, st.integers(1, 3))
def test_a_dpp_takes_what_adds_most_to_the_log_determinant(seed: int, weight: float, most: int) -> None:
    """Also where all directions are taken: the vectors have 5 numbers, and up to 12 items are chosen."""
    values, vectors = world(seed)
    theta = min(4 * (1 - weight) / weight, 60)
    quality = np.exp(theta * (values - values.min()) / (values.max() - values.min()) / 2)
    similar = 0.99 * cosines(vectors, len(values))
    np.fill_diagonal(similar, 1.0)
    L = quality[:, None] * similar * quality[None, :]
    names, taken = names_of(seed, len(values)), list[int]()
    for at in order(values, vectors, DPP, weight, 12, names, most):
        found = {
            item: np.linalg.slogdet(L[np.ix_([*taken, item], [*taken, item])])[1]
            for item in left_of(taken, names, most)
        }
        assert found[at] == pytest.approx(max(found.values()), abs=1e-3)
        taken.append(at)
    assert left_of(taken, names, most) == []


@pytest.mark.parametrize("method", METHODS)
def test_of_two_alike_the_second_waits_for_one_that_is_unlike(method: int) -> None:
    vectors = np.array([[1, 0], [3, 0], [0, 1]], np.float32)
    assert order([1.0, 0.9, 0.5], vectors, method, 0.5) == [0, 2, 1]
    for length in (1e-30, 1e30):  # whose squares are no numbers of 32 bits
        assert order([1.0, 0.9, 0.5], np.float32(length) * vectors, method, 0.5) == [0, 2, 1]


@pytest.mark.parametrize("method", METHODS)
def test_a_weight_of_next_to_nothing_is_nearly_by_value(method: int) -> None:
    _, vectors = world(3)
    assert order(np.linspace(1, 0, 12), vectors, method, 1e-4, k=11) == list(range(11))


@pytest.mark.parametrize("method", METHODS)
def test_a_weight_of_one_looks_at_unlikeness_alone(method: int) -> None:
    vectors = np.array([[1, 0, 0], [0.9, np.sqrt(0.19), 0], [0.1, 0, np.sqrt(0.99)], [0, 1, 0]], np.float32)
    assert order([9.0, 8.0, 7.0, 6.0], vectors, method, 1.0, k=2) == [0, 3]


@pytest.mark.parametrize("method", [BY_VALUE, *METHODS])
def test_what_has_no_value_comes_when_all_that_has_one_is_gone_and_a_list_may_have_none(method: int) -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert order([2.0, 1.0, -np.inf, -np.inf], vectors, method, 0.9) == [0, 1, 2, 3]
    assert order([-np.inf, -np.inf], vectors, method, 0.9) == [0, 1]
    assert order([1.0, 1.0], vectors, method, 0.9) == [0, 1]
    assert order([], vectors, method, 0.9) == []


def test_each_position_says_why_its_item_stands_there() -> None:
    """Item 7 is promoted to the second position, and the fourth and the last are the second source's."""
    got = chosen(-np.arange(9.0), k=6, sources=[[], [6, 5, 8]], owed=[0, 2], rules=[(2, [7, 8]), (2, [0]), (9, [1])])
    assert got == [(1, BEST), (7, PROMOTED), (0, PROMOTED), (6, 1), (2, BEST), (5, 1)]


@given(seeds)
def test_shares_caps_and_rules_go_together(seed: int) -> None:
    """Nothing is there twice, no cap is broken, the list is full, and each source has what it is owed and has."""
    random = np.random.default_rng(seed)
    n, k = int(random.integers(1, 15)), int(random.integers(1, 12))
    values = np.sort(random.normal(size=n))[::-1].copy()
    values[n - int(random.integers(0, n)) :] = -np.inf
    names, most = random.integers(-1, 6, n).tolist(), int(random.integers(1, 4))
    sources = [random.permutation(n)[: random.integers(0, n + 1)].tolist() for _ in range(2)]
    owed = [int(random.integers(0, k // 2 + 1)) for _ in sources]
    rules = [(int(random.integers(1, k + 3)), random.integers(0, n, 2).tolist()) for _ in range(2)]
    got = chosen(values, names=names, most=most, k=k, sources=sources, owed=owed, rules=rules)
    items = [item for item, _ in got]
    assert len(set(items)) == len(items) <= k
    assert all(name == -1 or count <= most for name, count in Counter(names[item] for item in items).items())
    assert len(items) == k or left_of(items, names, most) == []
    promoted = sum(reason == PROMOTED for _, reason in got)
    for source, wanted in zip(sources, owed, strict=True):
        if promoted + sum(owed) <= k:
            assert len({*source} & {*items}) >= wanted or not {*source} & {*left_of(items, names, most)}
