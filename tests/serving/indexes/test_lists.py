"""Lists propose by codes; with all of them looked at, and enough proposed, what they give is what sorting gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from serving.indexes.item_matrix import ItemMatrix
from serving.indexes.lists import Lists, fetched
from tests.serving.indexes.made_up import clustered, queries_of


def listed(vectors: np.ndarray, count: int = 1, seed: int = 1) -> tuple[ItemMatrix, Lists]:
    matrix = ItemMatrix.of(vectors)
    return matrix, Lists.of(matrix, np.random.default_rng(seed).integers(0, count, len(vectors)), count)


def found(matrix: ItemMatrix, lists: Lists, query: np.ndarray, k: int, eligible: np.ndarray, reach: float) -> list[int]:
    lists.require(matrix)
    return lists.search(matrix, query, k, eligible, int(eligible.sum()), reach).places.tolist()


def test_vectors_too_small_for_a_step_of_32_bits_have_codes_that_tell_them_apart() -> None:
    vectors = (np.arange(3_000, dtype=np.float32) * np.float32(1e-45))[:, None]
    query = np.full(1, 1e30, np.float32)
    best = found(*listed(vectors), query, 5, np.ones(3_000, np.bool_), 3_000)
    assert best == [2_999, 2_998, 2_997, 2_996, 2_995]


@given(st.integers(1, 70), st.integers(1, 90), st.integers(1, 200), st.integers(0, 99))
def test_all_lists_have_every_eligible_item_and_some_may_be_empty(dim: int, items: int, count: int, seed: int) -> None:
    """Of vectors as long as none of a processor's registers, too."""
    random = np.random.default_rng(seed)
    vectors = random.integers(-3, 4, (items, dim)).astype(np.float32)
    query, eligible = random.integers(-3, 4, dim).astype(np.float32), random.random(items) < 0.7
    eligible[0] = True
    rows = np.flatnonzero(eligible)
    by_score = rows[np.lexsort((rows, -(vectors @ query)[rows]))]
    assert found(*listed(vectors, count, seed), query, items, eligible, items) == by_score.tolist()


@pytest.mark.parametrize("dim", [1, 63, 64, 65, 300, 3_000])
@pytest.mark.parametrize("factor", [1e-30, 1, 1e30])
def test_codes_tell_who_is_best_by_queries_of_any_length_and_vectors_of_any_number_of_numbers(
    dim: int, factor: float
) -> None:
    """All of one sign: no sum of codes is larger. 16 bits for each number would be too many for those of 3,000."""
    random = np.random.default_rng(dim)
    vectors = (np.linspace(0.5, 1, 3_000)[random.permutation(3_000), None] * np.ones(dim)).astype(np.float32)
    query = np.full(dim, factor, np.float32)
    best = np.argsort(-vectors[:, 0], kind="stable")[:10].tolist()
    assert found(*listed(vectors), query, 10, np.ones(3_000, np.bool_), 3_000) == best


def test_codes_are_to_the_nearest_step_and_middles_are_means_with_the_deviations_from_them() -> None:
    vectors = clustered(500, 7, seed=1)
    vectors[:, 3] = 4
    vectors[0], vectors[1] = vectors.min(axis=0), vectors.max(axis=0)
    _, lists = listed(vectors, 5)
    held = vectors[lists.rows[lists.first[2] : lists.first[3]]].astype(np.float64)
    assert lists.middles[2] == pytest.approx(held.mean(axis=0), rel=1e-5)
    assert lists.spread[2] == pytest.approx(held.std(axis=0), rel=1e-5)
    least = vectors.min(axis=0)
    assert np.abs(least + lists.codes * lists.steps - vectors[lists.rows]).max() <= 0.501 * lists.steps.max()
    assert (lists.codes[:, 3] == 0).all()
    assert lists.codes.max(axis=0).tolist() == [255, 255, 255, 0, 255, 255, 255]


def test_vectors_from_one_end_of_float32_to_the_other_have_codes() -> None:
    ends = np.array([[-3e38, 1], [3e38, 0], [0, 0.5]], np.float32)
    _, lists = listed(ends)
    assert lists.codes.tolist() == [[0, 255], [255, 0], [128, 128]]


def test_of_items_that_are_all_alike_the_first_rows_are_taken() -> None:
    vectors = np.ones((5_000, 5), np.float32)
    eligible = np.arange(5_000) % 3 > 0
    assert found(*listed(vectors, 7), np.ones(5, np.float32), 6, eligible, 5_000) == [1, 2, 4, 5, 7, 8]


def test_few_lists_are_looked_at_where_few_are_enough_and_more_where_the_eligible_ones_are_elsewhere() -> None:
    vectors = clustered(4_000, 8, seed=2)
    matrix, lists = listed(vectors)
    numbers = np.argsort(np.argsort(-vectors @ vectors[0])) // 100  # forty lists, the best hundred in the first
    lists = Lists.of(matrix, numbers, 40)
    every, behind = np.ones(4_000, np.bool_), numbers >= 20
    assert set(numbers[found(matrix, lists, vectors[0], 100, every, 100)]) == {0}
    assert found(matrix, lists, vectors[0], 50, every, 1) == found(matrix, lists, vectors[0], 50, every, 4_000)
    beyond = found(matrix, lists, vectors[0], 10, behind, 400)
    assert beyond == found(matrix, lists, vectors[0], 10, behind, 4_000)


def test_no_further_list_is_looked_at_than_has_to_be() -> None:
    """The very best item lies in a list that promises little."""
    vectors = np.repeat(np.array([[0.5], [0]], np.float32), 500, axis=0)
    vectors[700] = 1
    matrix = ItemMatrix.of(vectors)
    lists, query, every = Lists.of(matrix, np.repeat([0, 1], 500), 2), np.ones(1, np.float32), np.ones(1_000, np.bool_)
    assert found(matrix, lists, query, 2, every, 500) == [0, 1]
    assert found(matrix, lists, query, 2, every, 501) == [700, 0]
    assert found(matrix, lists, query, 501, every, 1) == [700, *range(500)]


def test_a_list_promises_what_its_best_may_have_in_the_direction_of_the_query() -> None:
    """One item of many has what is wanted; in another list all have a little of it, and much that is not asked for."""
    one, all_ = np.zeros((100, 2), np.float32), np.full((100, 2), 0.2, np.float32)
    one[7, 0], all_[::2, 1], all_[1::2, 1] = 10, 5, -5
    matrix = ItemMatrix.of(np.concatenate([all_, one]))
    lists = Lists.of(matrix, np.repeat([0, 1], 100), 2)
    assert found(matrix, lists, np.array([1, 0], np.float32), 1, np.ones(200, np.bool_), 1) == [107]


def test_more_are_proposed_than_are_wanted_and_never_more_than_there_are() -> None:
    assert [fetched(10, 1_000), fetched(300, 1_000), fetched(10, 20)] == [50, 375, 20]


@pytest.mark.parametrize("order", ["C", "F", "every other row", "not aligned"])
def test_vectors_and_questions_may_lie_in_memory_as_they_like(order: str) -> None:
    vectors = clustered(300, 9, seed=3)
    query, eligible = queries_of(vectors, 1, seed=4)[0], np.ones(300, np.bool_)
    expected = found(*listed(vectors, 4), query, 20, eligible, 300)
    laid = {
        "C": vectors,
        "F": np.asfortranarray(vectors),
        "every other row": np.repeat(vectors, 2, axis=0)[::2],
        "not aligned": np.frombuffer(b"\0" + vectors.tobytes(), np.uint8)[1:].view(np.float32).reshape(vectors.shape),
    }[order]
    assert found(*listed(laid, 4), query, 20, eligible, 300) == expected


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("codes", np.zeros((6, 3), np.uint8), r"codes of lists are uint8 \(6, 2\) in one piece; got uint8 \(6, 3\)"),
        ("codes", np.zeros((6, 2), np.uint8, order="F"), r"in one piece; got uint8 \(6, 2\)"),
        ("codes", np.zeros((6, 2), np.int8), "got int8"),
        ("steps", np.zeros(3, np.float32), "steps of lists"),
        ("rows", np.zeros(6, np.int64), "rows of lists are int32"),
        ("rows", np.array([0, 1, 2, 3, 4, 6], np.int32), "rows from 0 to 5; got 0 to 6"),
        ("rows", np.array([0, 1, 2, 3, 4, -1], np.int32), "got -1 to 4"),
        ("first", np.array([0, 3, 7], np.int64), "of 6 items in all"),
        ("first", np.array([0, 7, 6], np.int64), "one behind the other"),
        ("first", np.array([1, 3, 6], np.int64), "one behind the other"),
        ("middles", np.zeros((3, 2), np.float32), "middles of lists"),
        ("spread", np.zeros((2, 3), np.float32), r"spread of lists are float32 \(2, 2\) in one piece"),
    ],
)
def test_lists_of_another_matrix_are_refused(name: str, wrong: np.ndarray, message: str) -> None:
    """Nothing looks at them again while they are searched."""
    matrix, lists = listed(clustered(6, 2, seed=1), 2)
    lists.require(matrix)
    with pytest.raises(BadInput, match=message):
        lists._replace(**{name: wrong}).require(matrix)
