"""From a user embedding to what is sent, held against the formulas by other means: SVD and least squares."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.blend import UNBLENDED, BlendSettings
from feature_store.errors import BadInput
from feature_store.item_bundle import bundle_of, make_bundle
from feature_store.signing import SigningKey
from feature_store.subset_selection import SubsetSelection
from feature_store.vector_noise import (
    NoiseSettings,
    VectorNoise,
    noise_of_bundle,
    noise_of_checkpoint,
    rank_for,
    shares_met,
    vector_noise,
)
from tests.feature_store.drafts import a_draft, registry_of

DIM = 6
GENERATOR = np.random.default_rng(3)
ITEMS = (GENERATOR.normal(size=(40, DIM)) * np.array([3, 2.5, 2, 1.5, 1, 0.5])).astype(np.float32)
SHARES = GENERATOR.uniform(size=40).astype(np.float32)
VECTORS = st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=DIM, max_size=DIM).map(
    lambda v: np.array(v, np.float32)
)


@dataclass(frozen=True)
class Clear:
    """A mechanism that hides nothing, to see what it is given."""

    alignment: float = 1.0

    def draw(self, direction: np.ndarray) -> np.ndarray:
        return direction


def noise_of(epsilon: float = 8.0, mechanism: str = "subset-selection", rank: int | None = None) -> VectorNoise:
    settings = NoiseSettings(mechanism, epsilon)
    return vector_noise(settings, "c1", ITEMS.T @ ITEMS, ITEMS.T @ SHARES, rank)


def clear(**settings: int) -> VectorNoise:
    return replace(noise_of(**settings), mechanism=Clear())


@pytest.mark.parametrize("rank", [2, 6])
def test_what_is_told_is_the_direction_of_the_vector_beside_what_is_popular(rank: int) -> None:
    """μ by least squares with the ridge as more rows, B by the SVD of the items."""
    ridge = 1e-3 * (ITEMS.astype(np.float64) ** 2).sum() / DIM
    rows = np.vstack([ITEMS, np.sqrt(ridge) * np.eye(DIM)])
    mean = np.linalg.lstsq(rows, np.append(SHARES, np.zeros(DIM)), rcond=None)[0]
    projection = sum(np.outer(axis, axis) for axis in np.linalg.svd(ITEMS, full_matrices=False)[2][:rank])
    person = np.array([0.3, -0.2, 0.9, 0.1, -0.4, 0.2], np.float32)
    centre = 0.4 * mean / np.linalg.norm(mean)
    beside = projection @ (person / np.linalg.norm(person) - centre)

    sent = clear(rank=rank).told(person)

    expected = np.linalg.norm(mean) / 0.4 * (centre + beside / np.linalg.norm(beside))
    assert sent == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(vector=VECTORS, factor=st.sampled_from([1e-3, 0.5, 7.0]))
def test_the_length_of_a_vector_is_not_told(vector: np.ndarray, factor: float) -> None:
    noise = clear()
    if np.abs(vector).min() > 1e-20:  # below, float32 itself loses digits of the product
        assert noise.told(vector) == pytest.approx(noise.told(vector * np.float32(factor)), rel=1e-4, abs=1e-5)


@given(vector=VECTORS)
def test_whatever_the_vector_is_one_of_the_public_vectors_is_sent_to_the_last_bit(vector: np.ndarray) -> None:
    """So that nothing in its digits tells of the person, but which of them it is."""
    noise = PUBLIC
    assert noise.told(vector).tobytes() in SENDABLE


def test_a_person_without_a_history_is_noised_like_everybody() -> None:
    noise = clear()
    nobody = noise.told(np.zeros(DIM, np.float32))
    assert np.isfinite(nobody).all()
    # Where nothing points anywhere, what is told is away from what is popular, as -c is.
    assert nobody == pytest.approx(noise.told(-noise.centre.astype(np.float32)), rel=1e-4, abs=1e-5)


def test_items_that_nobody_met_and_items_of_zeros_are_no_obstacle() -> None:
    gram, nothing = (ITEMS.T @ ITEMS).astype(np.float32), np.zeros(DIM, np.float32)
    for noise in (
        vector_noise(NoiseSettings("privunit-g", 4.0), "c", gram, nothing),
        vector_noise(NoiseSettings("privunit-g", 4.0), "c", gram * 0, nothing),
    ):
        sent = noise.told(np.ones(DIM, np.float32))
        assert np.linalg.norm(sent) == pytest.approx(noise.mechanism.alignment, rel=1e-5)


@pytest.mark.parametrize("mechanism", ["privunit-g", "subset-selection"])
def test_with_the_largest_epsilon_a_vector_comes_through(mechanism: str) -> None:
    noise = noise_of(64.0, mechanism, rank=3)
    person = (5 * noise.basis[:, 0] + noise.basis[:, 2]).astype(np.float32)

    sent = np.mean([noise.told(person) for _ in range(50)], axis=0)

    wanted = clear(rank=3).told(person)
    assert np.dot(sent, wanted) / np.linalg.norm(sent) / np.linalg.norm(wanted) > 0.99


@pytest.mark.parametrize(
    ("epsilon", "by_mechanism"),
    [(0.1, (4, 4)), (4.0, (4, 4)), (7.9, (4, 4)), (8.0, (8, 8)), (16.0, (16, 16)), (32.0, (32, 16)), (64.0, (32, 16))],
)
def test_as_many_directions_are_told_as_epsilon_reaches(epsilon: float, by_mechanism: tuple[int, int]) -> None:
    privunit, subset = NoiseSettings("privunit-g", epsilon), NoiseSettings("subset-selection", epsilon)
    assert (rank_for(privunit, 64), rank_for(subset, 64)) == by_mechanism
    assert rank_for(privunit, 3) == 3


def test_a_bundle_gives_the_noise_of_its_checkpoint(tmp_path: Path) -> None:
    """But for the rounding of its item vectors."""
    key = SigningKey.generate()
    registry = registry_of(tmp_path, key)
    draft = a_draft(items=50, dim=8)
    checkpoint = registry.load(registry.publish(draft, key).checkpoint_id)
    bundle = bundle_of(make_bundle(checkpoint, {}, key))
    settings = NoiseSettings("privunit-g", 4.0)

    whole, small = noise_of_checkpoint(settings, checkpoint), noise_of_bundle(settings, bundle)

    assert small.checkpoint_id == whole.checkpoint_id == checkpoint.manifest.checkpoint_id
    assert small.settings == settings
    assert small.centre == pytest.approx(whole.centre, abs=2e-3)
    assert small.length == pytest.approx(whole.length, rel=1e-2)
    assert small.basis @ small.basis.T == pytest.approx(whole.basis @ whole.basis.T, abs=1e-3)
    popular = draft.item_vectors.T @ (draft.item_counts / 60)  # of 60 people, as the draft says
    assert whole.centre == pytest.approx(vector_noise(settings, "c", checkpoint.item_gram, popular).centre)
    assert whole.length == pytest.approx(vector_noise(settings, "c", checkpoint.item_gram, popular).length)


def test_shares_are_of_the_people_of_a_checkpoint_or_of_the_most_popular_item() -> None:
    counts = np.array([0, 5, 20], np.float32)
    assert shares_met(counts, BlendSettings(0.0, people=40)).tolist() == [0.0, 0.125, 0.5]
    assert shares_met(counts, UNBLENDED).tolist() == [0.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (NoiseSettings("laplace", 8.0), "'laplace' of 8.0"),
        (NoiseSettings("privunit-g", 0.0), "got 'privunit-g' of 0.0"),
        (NoiseSettings("privunit-g", 65.0), "at most 64; got 'privunit-g' of 65.0"),
        (NoiseSettings("privunit-g", float("nan")), "of nan"),
    ],
)
def test_noise_that_there_is_not_is_refused(settings: NoiseSettings, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        vector_noise(settings, "c", ITEMS.T @ ITEMS, ITEMS.T @ SHARES)


def test_arrays_that_do_not_go_together_are_refused() -> None:
    settings = NoiseSettings("privunit-g", 8.0)
    with pytest.raises(BadInput, match=r"popular has 5 numbers.*\(5, 5\); got \(6, 6\)"):
        vector_noise(settings, "c", ITEMS.T @ ITEMS, np.ones(5, np.float32))
    with pytest.raises(BadInput, match="of 6 numbers 1 to 6 directions can be told; got 7"):
        noise_of(rank=7)


def sendable(noise: VectorNoise) -> set[bytes]:
    assert isinstance(noise.mechanism, SubsetSelection)
    parts = [noise.basis @ told for told in noise.mechanism.directions]
    return {
        (noise.length * (noise.centre + noise.mechanism.alignment * part)).astype(np.float32).tobytes()
        for part in parts
    }


PUBLIC = noise_of()
SENDABLE = sendable(PUBLIC)
