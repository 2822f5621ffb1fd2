"""What every index of item vectors promises, held against sorting every item in 64 bits."""

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from feature_store.errors import BadInput
from serving.candidates import Candidates
from serving.indexes.exact import ExactIndex
from serving.indexes.int8 import Int8Index
from serving.indexes.inverted import InvertedIndex
from serving.indexes.item_index import ItemIndex
from serving.indexes.latest import LatestIndex
from serving.indexes.vector_sets import VectorSetIndex
from tests.redis_server import running_redis
from tests.serving.indexes.made_up import clustered, queries_of

Make = Callable[[np.ndarray], ItemIndex]
MAKES: dict[str, Make] = {
    "exact": ExactIndex,
    "latest": LatestIndex,
    "int8": Int8Index.of,
    "inverted": InvertedIndex.of,
}
DIM = 3
whole = st.integers(-3, 3)  # few values: ties are common
vectors = st.lists(st.tuples(*[whole] * DIM), min_size=1, max_size=60)


def oracle(vectors: np.ndarray, query: np.ndarray, k: int, eligible: np.ndarray) -> Candidates:
    """Rows by falling score, then rising row. Nothing of ours is in it."""
    scores = (vectors.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    rows = np.flatnonzero(eligible)
    rows = rows[np.lexsort((rows, -scores[rows]))][:k].astype(np.int32)
    return Candidates(rows, scores[rows], "personal")


def same(found: Candidates, expected: Candidates) -> bool:
    return (found.places.tolist(), found.scores.tolist()) == (expected.places.tolist(), expected.scores.tolist())


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Redis]]:
    """Two servers, each with half of the items."""
    folders = [tmp_path_factory.mktemp("redis") for _ in range(2)]
    with (
        running_redis(folders[0]) as first,
        running_redis(folders[1]) as second,
        first.client() as one,
        second.client() as other,
    ):
        yield [one, other]


@pytest.fixture(scope="module", params=[*MAKES, "vector sets"])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param in MAKES:
        return MAKES[request.param]
    shards = request.getfixturevalue("shards")
    numbers = count()
    return lambda vectors: VectorSetIndex.of(vectors, shards, f"index{next(numbers)}")


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    return clustered(6_000, 32, seed=1)


@pytest.fixture(scope="module")
def index(make: Make, many: np.ndarray) -> ItemIndex:
    return make(many)


@given(vectors, st.tuples(*[whole] * DIM), st.integers(1, 70), st.data())
def test_of_few_items_every_index_finds_what_sorting_them_finds(
    make: Make, items: list[tuple[int, ...]], query: tuple[int, ...], k: int, data: st.DataObject
) -> None:
    excluded = data.draw(st.lists(st.integers(0, len(items) - 1)))
    matrix, asked = np.array(items, np.float32), np.array(query, np.float32)
    eligible = np.ones(len(items), np.bool_)
    eligible[excluded] = False

    found = make(matrix).retrieve(asked, k, eligible)

    assert same(found, oracle(matrix, asked, k, eligible))
    assert found.source == "personal"


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.01, 0.001, 0.0])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_an_index_gives_as_many_eligible_items_as_there_are_up_to_k_in_their_exact_order(
    index: ItemIndex, many: np.ndarray, k: int, share: float
) -> None:
    random = np.random.default_rng(7)
    eligible = random.random(len(many)) < share
    for query in queries_of(many, 5, seed=2):
        found = index.retrieve(query, k, eligible)
        assert eligible[found.places].all()
        assert len(found) == len(set(found.places.tolist())) == min(k, eligible.sum())
        among = np.zeros_like(eligible)
        among[found.places] = True
        assert same(found, oracle(many, query, k, among))


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.01, 0.001])
def test_an_index_finds_98_of_100_of_the_best_ten(index: ItemIndex, many: np.ndarray, share: float) -> None:
    eligible = np.random.default_rng(8).random(len(many)) < share
    assert recall(index, many, eligible) >= 0.98


def test_an_index_finds_the_best_of_what_is_nowhere_near(index: ItemIndex, many: np.ndarray) -> None:
    """Each person may be shown the items alone that lie on the other side of what they like and of something else."""
    random = np.random.default_rng(12)
    found = total = 0
    for query in queries_of(many, 30, seed=3):
        other = random.standard_normal(len(query))
        eligible = many @ (query / np.linalg.norm(query) + other / np.linalg.norm(other)) < 0
        best = set(oracle(many, query, 10, eligible).places.tolist())
        found += len(best & set(index.retrieve(query, 10, eligible).places.tolist()))
        total += len(best)
    assert found >= 0.98 * total


def test_items_with_the_same_vector_come_in_the_order_of_their_rows(make: Make, many: np.ndarray) -> None:
    """Wherever they stand: BLAS sums the last rows of a block in another order than the first."""
    twins = many.copy()
    query = queries_of(many, 1, seed=4)[0]
    at = [3, 4, 1_023, 1_024, 4_097, len(twins) - 2, len(twins) - 1]
    twins[at] = 5 * query
    found = make(twins).retrieve(query, 7, np.ones(len(twins), np.bool_))
    assert found.places.tolist() == at
    assert len(set(found.scores.tolist())) == 1


def test_the_same_question_has_the_same_answer(index: ItemIndex, many: np.ndarray) -> None:
    eligible = np.random.default_rng(9).random(len(many)) < 0.5
    for query in queries_of(many, 5, seed=5):
        assert same(index.retrieve(query, 20, eligible), index.retrieve(query, 20, eligible))


@pytest.mark.parametrize("name", MAKES)
def test_an_index_that_is_built_again_gives_the_same_answers(name: str, many: np.ndarray) -> None:
    """Redis draws the levels of its graph by chance, so that two of its indexes can differ in what they miss."""
    first, second = MAKES[name](many), MAKES[name](many)
    for query in queries_of(many, 5, seed=5):
        every = np.ones(len(many), np.bool_)
        assert same(first.retrieve(query, 20, every), second.retrieve(query, 20, every))


def test_what_is_eligible_and_the_query_are_left_as_they_are(index: ItemIndex, many: np.ndarray) -> None:
    eligible, query = np.random.default_rng(10).random(len(many)) < 0.5, queries_of(many, 1, seed=6)[0]
    before = eligible.copy(), query.copy()
    index.retrieve(query, 10, eligible)
    assert (eligible == before[0]).all()
    assert (query == before[1]).all()


def test_a_question_may_lie_in_memory_as_it_likes(index: ItemIndex, many: np.ndarray) -> None:
    query, eligible = queries_of(many, 1, seed=5)[0], np.random.default_rng(9).random(len(many)) < 0.5
    spread_out = np.repeat(query, 3)[::3], np.repeat(eligible, 2)[::2]
    assert same(index.retrieve(spread_out[0], 20, spread_out[1]), index.retrieve(query, 20, eligible))


def test_a_query_of_zeros_is_answered_by_the_first_rows(index: ItemIndex, many: np.ndarray) -> None:
    eligible = np.ones(len(many), np.bool_)
    eligible[1] = False
    found = index.retrieve(np.zeros(many.shape[1], np.float32), 4, eligible)
    assert len(found) == 4
    assert found.scores.tolist() == [0.0] * 4
    assert 1 not in found.places


def test_a_query_whose_square_is_beyond_float32_is_answered_while_its_products_are_not(
    index: ItemIndex, many: np.ndarray
) -> None:
    query = queries_of(many, 1, seed=13)[0]
    query *= np.float32(1e30)
    eligible = np.ones(len(many), np.bool_)
    found = index.retrieve(query, 5, eligible)
    assert len(found) == 5
    assert np.isfinite(found.scores).all()
    assert found.places[0] == oracle(many, query, 1, eligible).places[0]


@pytest.mark.parametrize(
    ("query", "k", "eligible", "message"),
    [
        (np.zeros(2, np.float32), 1, np.ones(4, np.bool_), r"float32 queries of shape \(3,\); got float32 \(2,\)"),
        (np.zeros(3), 1, np.ones(4, np.bool_), r"float32 queries of shape \(3,\); got float64"),
        (np.zeros(3, np.float32), 0, np.ones(4, np.bool_), "k >= 1; got 0"),
        (np.zeros(3, np.float32), 1, np.ones(5, np.bool_), r"bool of shape \(4,\); got bool \(5,\)"),
        (np.zeros(3, np.float32), 1, np.ones(4), r"bool of shape \(4,\); got float64 \(4,\)"),
    ],
)
def test_a_question_that_an_index_cannot_answer_is_refused(
    make: Make, query: np.ndarray, k: int, eligible: np.ndarray, message: str
) -> None:
    index = make(np.ones((4, 3), np.float32))
    with pytest.raises(BadInput, match=message):
        index.retrieve(query, k, eligible)


def test_an_index_of_other_numbers_than_float32_is_refused(make: Make) -> None:
    with pytest.raises(BadInput, match="got float64"):
        make(np.ones((4, 3)))


def recall(index: ItemIndex, vectors: np.ndarray, eligible: np.ndarray) -> float:
    found = total = 0
    for query in queries_of(vectors, 50, seed=11):
        best = set(oracle(vectors, query, 10, eligible).places.tolist())
        found += len(best & set(index.retrieve(query, 10, eligible).places.tolist()))
        total += len(best)
    return found / total


def test_an_exact_index_of_no_items_finds_none() -> None:
    assert len(ExactIndex(np.empty((0, 3), np.float32)).retrieve(np.ones(3, np.float32), 5, np.ones(0, np.bool_))) == 0
