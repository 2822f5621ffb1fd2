"""The bound on what one person adds: no history is beyond it, and who is within it is left alone."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings
from tests.training.federation.local_cells import HELD_OUT, LOSS, PARTS, SPLIT, filled_memory
from training.client_update import ClientUpdate
from training.contribution import contribution
from training.device import STREAMED, Placement
from training.federation.cell import round_sums
from training.federation.people import read_people
from training.federation.tasks import RoundTask
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.recommender import make_algorithm
from training.reconstruction import curvature_update
from training.server_settings import AggregationSettings
from training.settings import TrainingSettings
from training.streaming import streamed_update
from training.user_bound import UNBOUNDED, UserBound, brought_within

WEIGHTS = FoldInSettings(0.2, 0.01)
HISTORY = np.array([0, 3, 7, 8], np.int32)
PLACEMENTS = {"streamed": STREAMED, "tensorflow": Placement("/CPU:0"), "xla": Placement("/CPU:0", xla=True)}
HISTORIES = st.lists(
    st.sets(st.integers(0, 12), min_size=1, max_size=9).map(lambda s: np.array(sorted(s), np.int32)),
    min_size=1,
    max_size=6,
)


def some_vectors(seed: int = 1, items: int = 13) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((items, 4)).astype(np.float32)


def measured(update: ClientUpdate) -> tuple[float, float]:
    """The longest row and the norm over everything of one client's sums, from the sums alone."""
    bounded = [array.astype(np.float64) for name, array in update.sums.items() if name != "item_counts"]
    rows = np.linalg.norm(update.sums["item_gradient"], axis=1)
    longest = max(rows.max(), np.trace(update.sums["user_gram"]), update.sums["item_energy"].max())
    return float(longest), float(np.sqrt(sum((array**2).sum() for array in bounded)))


@pytest.mark.parametrize("placement", [STREAMED, PLACEMENTS["tensorflow"]], ids=["streamed", "tensorflow"])
@settings(max_examples=25, deadline=None)
@given(HISTORIES, st.floats(0.01, 2), st.floats(0.1, 5), st.floats(0, 1), st.integers(0, 99))
def test_each_client_counts_for_less_by_as_much_as_it_is_above_the_bound(
    placement: Placement, histories: list[np.ndarray], row: float, whole: float, exponent: float, seed: int
) -> None:
    """A sum over many is that of each of them alone, scaled to the bound; nothing else of a client changes."""
    vectors, bound = some_vectors(seed), UserBound(row, whole)
    expected: dict[str, np.ndarray] = {}
    for history in histories:
        alone = curvature_update(vectors, [history], WEIGHTS, placement=placement, activity_exponent=exponent)
        longest, norm = measured(alone)
        share = min(1.0, row / longest, whole / norm)
        for name, array in alone.sums.items():
            counted = array if name == "item_counts" else array * share
            expected[name] = expected.get(name, 0) + counted
    update = curvature_update(vectors, histories, WEIGHTS, placement=placement, activity_exponent=exponent, bound=bound)
    for name, array in expected.items():
        np.testing.assert_allclose(update.sums[name], array, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("placement", PLACEMENTS.values(), ids=PLACEMENTS)
def test_a_history_above_the_bound_is_brought_to_it_and_one_below_is_left_alone(placement: Placement) -> None:
    _brought_to_it(placement, some_vectors())


@pytest.mark.parametrize("placement", PLACEMENTS.values(), ids=PLACEMENTS)
def test_of_a_client_with_a_long_embedding_its_energy_is_what_is_bounded(placement: Placement) -> None:
    vectors = some_vectors() / 6
    free = curvature_update(vectors, [HISTORY], WEIGHTS, placement=placement)
    rows = np.linalg.norm(free.sums["item_gradient"], axis=1)
    assert np.trace(free.sums["user_gram"]) > 1.5 * rows.max()
    _brought_to_it(placement, vectors)


def _brought_to_it(placement: Placement, vectors: np.ndarray) -> None:
    free = curvature_update(vectors, [HISTORY], WEIGHTS, placement=placement)
    longest, norm = measured(free)
    for row, whole in ((longest / 2, None), (None, norm / 3), (longest / 2, norm / 3)):
        held = curvature_update(vectors, [HISTORY], WEIGHTS, placement=placement, bound=UserBound(row, whole))
        reached = [mine / most for mine, most in zip(measured(held), (row, whole), strict=True) if most is not None]
        assert max(reached) == pytest.approx(1, rel=1e-4)
    loose = curvature_update(vectors, [HISTORY], WEIGHTS, placement=placement, bound=UserBound(2 * longest, 2 * norm))
    for name, array in free.sums.items():
        np.testing.assert_allclose(loose.sums[name], array, rtol=1e-6)


def test_clients_without_items_add_nothing_under_a_bound() -> None:
    vectors, none = some_vectors(), np.empty(0, np.int32)
    history = np.array([2, 5], np.int32)
    bound = UserBound(0.05, 1.0)
    together = streamed_update(vectors, [none, history, none], WEIGHTS, bound=bound)
    alone = streamed_update(vectors, [history], WEIGHTS, bound=bound)
    for name in ("item_gradient", "user_gram", "item_energy", "item_counts"):
        np.testing.assert_allclose(together.sums[name], alone.sums[name], rtol=1e-5, atol=1e-8)


def test_the_norm_over_everything_is_the_one_that_contribution_bounds_a_client_at_a_time() -> None:
    vectors, history = some_vectors(), np.array([1, 2, 9], np.int32)
    free = streamed_update(vectors, [history], WEIGHTS)
    expected = contribution(free, AggregationSettings(clip_norm=0.4))
    held = streamed_update(vectors, [history], WEIGHTS, bound=UserBound(whole=0.4))
    for name, array in expected.sums.items():
        np.testing.assert_allclose(held.sums[name], array, rtol=1e-4, atol=1e-7)


def test_the_algorithm_bounds_what_a_client_adds_by_default_and_as_its_settings_say() -> None:
    vectors, history = some_vectors(items=40) / 2, np.arange(0, 12, dtype=np.int32)
    tower = ItemTower(ItemFeatures.of_categories([()] * 40), 4)

    def longest(**settings: object) -> tuple[float, float]:
        algorithm = make_algorithm(tower, 10, TrainingSettings.model_validate({"dim": 4, "alpha": 0.01, **settings}))
        return measured(algorithm.client_update(vectors, [history]))

    exponent = {"activity_exponent": 0.0}
    assert longest(curvature={**exponent, "row_bound": None})[0] > 0.3
    assert longest(curvature=exponent)[0] == pytest.approx(0.25, rel=1e-4)
    assert longest(curvature={**exponent, "row_bound": 0.05})[0] == pytest.approx(0.05, rel=1e-4)
    held = longest(curvature={**exponent, "row_bound": None}, aggregation={"clip_norm": 0.3})
    assert held[1] == pytest.approx(0.3, rel=1e-4)


def test_a_cell_bounds_its_people_before_it_adds_them_up() -> None:
    people = asyncio.run(read_people(filled_memory(PARTS["cell-a"]).events, SPLIT.vocabulary, HELD_OUT))
    vectors = some_vectors(items=40)

    def asked(row_bound: float | None) -> np.ndarray:
        loss = LOSS.model_copy(update={"row_bound": row_bound})
        task = RoundTask(run_id="run-1", round_number=0, cohort=60, population=60, seed=1, loss=loss)
        return round_sums(people, task, {"item_vectors": vectors}, 5, task.seed).arrays["item_gradient"]

    alone = [streamed_update(vectors, [h], LOSS.fold_in, activity_exponent=0.3) for h in people.train]
    shares = [min(1, 0.05 / measured(update)[0]) for update in alone]
    assert max(shares) < 1
    expected = sum(share * update.sums["item_gradient"] for share, update in zip(shares, alone, strict=True))
    np.testing.assert_allclose(asked(0.05), expected, rtol=1e-3, atol=1e-5)
    assert np.abs(asked(None)).max() > 1.5 * np.abs(asked(0.05)).max()


def sent(**changed: np.ndarray) -> ClientUpdate:
    """What a device sends; honest but for what is given."""
    honest = streamed_update(some_vectors(), [np.array([1, 2, 9], np.int32)], WEIGHTS)
    return ClientUpdate({**honest.sums, **changed}, honest.loss, 1)


def test_an_honest_update_within_the_bound_is_taken_as_it_is() -> None:
    update = sent()
    taken = brought_within(update, UserBound(10, 10))
    for name, array in update.sums.items():
        np.testing.assert_allclose(taken.sums[name], array, rtol=1e-4, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 999), st.floats(-3, 6), st.floats(0.01, 1))
def test_whatever_a_device_sends_no_number_of_what_counts_is_beyond_the_bound(
    seed: int, magnitude: float, row: float
) -> None:
    random, size = np.random.default_rng(seed), 10**magnitude
    honest = sent().sums
    wild = {name: (size * random.standard_normal(array.shape)).astype(np.float32) for name, array in honest.items()}
    taken = brought_within(sent(**wild), UserBound(row=row, whole=3 * row)).sums
    assert np.linalg.norm(taken["item_gradient"], axis=1).max() <= row * 1.0001
    assert np.linalg.eigvalsh(taken["user_gram"].astype(np.float64)).min() >= -1e-5 * row
    assert np.trace(taken["user_gram"]) <= row * 1.0001
    assert 0 <= taken["item_energy"].min() <= taken["item_energy"].max() <= row * 1.0001
    assert 0 <= taken["item_counts"].min() <= taken["item_counts"].max() <= 1
    assert 0 <= taken["activity"][0] <= 1
    together = [array.ravel() for name, array in taken.items() if name != "item_counts"]
    assert np.linalg.norm(np.concatenate(together)) <= 3 * row * 1.0001


@pytest.mark.parametrize("name", ["item_gradient", "user_gram", "item_energy"])
def test_no_sum_can_be_beyond_the_bound_where_the_others_are_small(name: str) -> None:
    sums = sent().sums
    large = np.eye(4, dtype=np.float32) if name == "user_gram" else np.ones(sums[name].shape, np.float32)
    taken = brought_within(sent(**{name: 50 * large}), UserBound(row=0.1))
    assert measured(taken)[0] == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_an_update_that_is_not_finite_counts_for_nothing(number: float) -> None:
    with pytest.raises(BadInput, match=r"sum item_energy .* not finite"):
        brought_within(sent(item_energy=np.full(13, number, np.float32)), UNBOUNDED)


def test_a_sum_over_several_is_no_update_to_bound() -> None:
    update = sent()
    with pytest.raises(BadInput, match="of one client"):
        brought_within(ClientUpdate(update.sums, update.loss, 2), UNBOUNDED)
    with pytest.raises(BadInput, match="of one client"):
        brought_within(ClientUpdate({"item_delta": np.zeros((2, 2), np.float32)}, 0.0, 1), UNBOUNDED)
