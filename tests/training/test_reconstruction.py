"""The curvature client against slow, clear arithmetic in double precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings, fold_in
from training.device import STREAMED, Placement
from training.histories import Chosen, Histories
from training.padding import pad
from training.reconstruction import curvature_update, reconstruct
from training.streaming import streamed_update
from training.tf import tf

CPU = Placement("/CPU:0")
COMPILED = Placement("/CPU:0", xla=True)
MIXED = Placement("/CPU:0", mixed_precision=True)
HISTORIES = st.lists(
    st.sets(st.integers(0, 12), min_size=1, max_size=9).map(lambda s: np.array(sorted(s), np.int32)),
    min_size=1,
    max_size=7,
)


def slowly(
    vectors: np.ndarray, histories: list[np.ndarray], weights: FoldInSettings, exponent: float = 0.0
) -> tuple[dict[str, np.ndarray], float]:
    """The sums of `curvature_update`, a client and an item at a time."""
    Q = vectors.astype(np.float64)
    items, dim = Q.shape
    alpha, lam = weights.alpha, weights.regularization
    gradient, gram, energy, counts, activity, loss = (
        np.zeros((items, dim)),
        np.zeros((dim, dim)),
        np.zeros(items),
        np.zeros(items),
        np.zeros(1),
        0.0,
    )
    for history in histories:
        system = lam * (len(history) + alpha * items) * np.eye(dim) + alpha * Q.T @ Q
        for item in history:
            system += np.outer(Q[item], Q[item])
        p = np.linalg.solve(system, sum(Q[item] for item in history))
        w = len(history) ** -exponent
        activity += w
        for item in history:
            gradient[item] += w * (p @ Q[item] - 1) * p
            energy[item] += w * (p @ p)
            counts[item] += 1
            loss += (1 - p @ Q[item]) ** 2
        for item in range(items):
            loss += alpha * (p @ Q[item]) ** 2
        loss += lam * (len(history) + alpha * items) * (p @ p)
        gram += w * np.outer(p, p)
    return {
        "item_gradient": gradient,
        "user_gram": gram,
        "item_energy": energy,
        "item_counts": counts,
        "activity": activity,
    }, loss


@pytest.mark.parametrize("placement", [STREAMED, CPU], ids=["streamed", "tensorflow"])
@settings(max_examples=25, deadline=None)
@given(HISTORIES, st.floats(0.05, 2), st.floats(0.005, 0.5), st.integers(0, 99))
def test_the_sums_are_those_of_plain_arithmetic(
    placement: Placement, histories: list[np.ndarray], alpha: float, regularization: float, seed: int
) -> None:
    vectors = np.random.default_rng(seed).standard_normal((13, 4)).astype(np.float32)
    weights = FoldInSettings(alpha, regularization)
    expected, loss = slowly(vectors, histories, weights)
    update = curvature_update(vectors, histories, weights, placement=placement)
    assert update.clients == len(histories)
    assert update.loss == pytest.approx(loss, rel=1e-3)
    for name, array in expected.items():
        np.testing.assert_allclose(update.sums[name], array, rtol=2e-3, atol=2e-4)


def cohort() -> tuple[np.ndarray, list[np.ndarray], FoldInSettings]:
    """Lengths from 1 to 24 at dim 4: both below and above where the matrix of a client is formed."""
    random = np.random.default_rng(1)
    vectors = random.standard_normal((30, 4)).astype(np.float32)
    histories = [random.permutation(30)[: random.integers(1, 25)].astype(np.int32) for _ in range(20)]
    return vectors, histories, FoldInSettings(0.2, 0.01)


@pytest.mark.parametrize(
    ("placement", "cells"),
    [(STREAMED, 40), (CPU, 40), (COMPILED, 256)],  # XLA compiles for each of its few shapes
    ids=["streamed", "tensorflow", "xla"],
)
def test_a_cohort_in_many_batches_gives_what_plain_arithmetic_gives(placement: Placement, cells: int) -> None:
    vectors, histories, weights = cohort()
    expected, loss = slowly(vectors, histories, weights)
    batched = curvature_update(vectors, histories, weights, cells, placement)
    assert batched.clients == 20
    assert batched.loss == pytest.approx(loss, rel=1e-4)
    for name, array in expected.items():
        np.testing.assert_allclose(batched.sums[name], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("placement", "cells"), [(STREAMED, 40), (CPU, 40), (COMPILED, 256)], ids=["streamed", "tensorflow", "xla"]
)
def test_a_client_counts_the_less_the_more_items_it_has_met(placement: Placement, cells: int) -> None:
    vectors, histories, weights = cohort()
    expected, loss = slowly(vectors, histories, weights, exponent=0.7)
    update = curvature_update(vectors, histories, weights, cells, placement, activity_exponent=0.7)
    assert update.loss == pytest.approx(loss, rel=1e-4)
    assert update.sums["activity"] < 0.5 * update.clients
    for name, array in expected.items():
        np.testing.assert_allclose(update.sums[name], array, rtol=1e-4, atol=1e-5)


def test_a_cohort_read_in_pieces_gives_what_plain_arithmetic_gives() -> None:
    vectors, histories, weights = cohort()
    population = Histories.of([*histories[:7], np.array([0, 1], np.int32), *histories[7:]])
    members = Chosen(population, np.delete(np.arange(21), 7))
    expected, loss = slowly(vectors, histories, weights)
    update = streamed_update(vectors, members, weights, share=16, piece=30)
    assert (update.clients, update.loss) == (20, pytest.approx(loss, rel=1e-4))
    for name, array in expected.items():
        np.testing.assert_allclose(update.sums[name], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", [-1, 30])
def test_an_item_row_that_is_not_there_is_refused(row: int) -> None:
    vectors, histories, weights = cohort()
    with pytest.raises(BadInput, match=f"{row}.* 30 items"):
        curvature_update(vectors, [*histories, np.array([3, row], np.int32)], weights)


def test_no_more_is_read_at_a_time_than_a_piece_or_one_client_and_not_less_than_fits() -> None:
    class Watched(Histories):
        """Notes how many entries each reading brings."""

        __slots__ = ("readings",)

        def read(self, clients: np.ndarray) -> np.ndarray:
            rows = super().read(clients)
            self.readings.append(self.lengths[clients].tolist())
            return rows

    vectors, histories, weights = cohort()
    watched = Watched(*(getattr(Histories.of(histories), name) for name in ("rows", "offsets")))
    watched.readings = []
    streamed_update(vectors, watched, weights, piece=30)
    assert [length for reading in watched.readings for length in reading] == [len(rows) for rows in histories]
    assert all(sum(reading) <= 30 or len(reading) == 1 for reading in watched.readings)
    assert all(
        sum(reading) + following[0] > 30
        for reading, following in zip(watched.readings, watched.readings[1:], strict=False)
    )


@pytest.mark.parametrize("share", [1, 128, 1 << 20], ids=["a client a share", "many shares", "one share, one thread"])
def test_the_same_cohort_gives_the_same_bits_however_threads_take_turns(share: int) -> None:
    random = np.random.default_rng(4)
    vectors = random.standard_normal((200, 8)).astype(np.float32)
    histories = [random.permutation(200)[: random.integers(1, 60)].astype(np.int32) for _ in range(300)]
    first = curvature_update(vectors, histories, FoldInSettings(0.2, 0.01))
    for _ in range(3):
        other = curvature_update(vectors, histories, FoldInSettings(0.2, 0.01), cells=share)
        assert other.loss == first.loss
        assert all((other.sums[name] == array).all() for name, array in first.sums.items())


def test_clients_whose_systems_are_too_hard_for_float32_are_solved_directly() -> None:
    """Columns from 1 to 10⁻³, hardly any ridge: as steps leave two of six clients, the sums are off by 6·10⁻²."""
    random = np.random.default_rng(3)
    vectors = (random.standard_normal((80, 32)) * np.logspace(0, -3, 32)).astype(np.float32)
    histories = [random.permutation(80)[: 6 + 10 * n].astype(np.int32) for n in range(6)]
    weights = FoldInSettings(1e-6, 1e-9)
    expected, loss = slowly(vectors, histories, weights)
    update = streamed_update(vectors, histories, weights)
    assert update.loss == pytest.approx(loss, rel=1e-5)
    for name, array in expected.items():
        np.testing.assert_allclose(update.sums[name], array, atol=4e-4 * np.abs(array).max(), err_msg=name)


def test_a_cohort_without_anything_in_it_brings_nothing() -> None:
    vectors = np.ones((5, 3), np.float32)
    for histories in ([], [np.empty(0, np.int32)] * 2):
        update = curvature_update(vectors, histories, FoldInSettings(0.2, 0.01))
        assert (update.clients, update.loss) == (len(histories), 0)
        assert all((array == 0).all() for name, array in update.sums.items() if name != "activity")


def test_mixed_precision_is_the_update_of_vectors_rounded_to_bfloat16() -> None:
    """Only what clients receive is rounded: products, solves and sums are those of float32."""
    vectors, histories, weights = cohort()
    rounded = tf.cast(tf.cast(vectors, tf.bfloat16), tf.float32).numpy()
    assert np.abs(rounded - vectors).max() > 1e-3
    mixed = curvature_update(rounded, histories, weights, placement=MIXED)
    exact = curvature_update(rounded, histories, weights, placement=CPU)
    near, unrounded = (curvature_update(vectors, histories, weights, placement=p) for p in (MIXED, CPU))
    moved = np.abs(near.sums["item_gradient"] - unrounded.sums["item_gradient"]).max()
    assert moved > 1e-4 * np.abs(unrounded.sums["item_gradient"]).max()
    for name, array in exact.sums.items():
        np.testing.assert_allclose(mixed.sums[name], array, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(near.sums[name], array, atol=0.02 * np.abs(array).max())


def test_reconstruction_on_the_client_is_fold_in() -> None:
    """One definition: what training optimises is what serving and devices compute."""
    random = np.random.default_rng(2)
    vectors = random.standard_normal((50, 8)).astype(np.float32)
    gram = vectors.T @ vectors
    histories = [random.permutation(50)[:n].astype(np.int32) for n in (1, 5, 30)]
    weights = FoldInSettings(0.4, 0.03)
    embeddings, _, _ = reconstruct(
        tf.constant(vectors), tf.constant(gram), tf.constant(pad(histories)), tf.constant(0.4), tf.constant(0.03)
    )
    for history, embedding in zip(histories, embeddings.numpy(), strict=True):
        np.testing.assert_allclose(embedding, fold_in(vectors, gram, history, weights), rtol=1e-4, atol=1e-6)
