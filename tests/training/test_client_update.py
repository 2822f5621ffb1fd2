"""What leaves a device."""

import dataclasses

import numpy as np
import pytest

from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings
from training.client_update import ClientUpdate
from training.local_training import local_training_update
from training.reconstruction import curvature_update

SETTINGS = FoldInSettings(alpha=0.3, regularization=0.02)
ITEMS, DIM = 17, 5


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ITEMS, DIM)).astype(np.float32)


def rows(*items: int) -> np.ndarray:
    return np.array(items, dtype=np.int32)


def test_a_client_update_has_three_fields_and_no_place_for_a_person() -> None:
    assert [field.name for field in dataclasses.fields(ClientUpdate)] == ["sums", "loss", "clients"]


def test_the_curvature_client_sends_exactly_these_sums(vectors: np.ndarray) -> None:
    update = curvature_update(vectors, [rows(1, 4)], SETTINGS)
    assert {name: (array.shape, array.dtype) for name, array in update.sums.items()} == {
        "item_gradient": ((ITEMS, DIM), np.float32),
        "user_gram": ((DIM, DIM), np.float32),
        "item_energy": ((ITEMS,), np.float32),
        "item_counts": ((ITEMS,), np.float32),
        "activity": ((1,), np.float32),
    }


def test_the_fedavg_client_sends_exactly_these_sums(vectors: np.ndarray) -> None:
    update = local_training_update(vectors, [rows(1, 4)], SETTINGS, epochs=2, learning_rate=0.1)
    assert {name: (array.shape, array.dtype) for name, array in update.sums.items()} == {
        "item_delta": ((ITEMS, DIM), np.float32),
        "weight": ((1,), np.float32),
        "item_counts": ((ITEMS,), np.float32),
    }


def test_shapes_and_bytes_do_not_tell_who_took_part_nor_how_many(vectors: np.ndarray) -> None:
    one = curvature_update(vectors, [rows(3)], SETTINGS)
    many = curvature_update(vectors, [rows(0, 1, 2, 3, 4, 5), rows(9), rows(16, 2)], SETTINGS)
    assert {n: a.shape for n, a in one.sums.items()} == {n: a.shape for n, a in many.sums.items()}
    assert one.uplink_bytes == many.uplink_bytes == 4 * (ITEMS * DIM + DIM * DIM + 2 * ITEMS + 1) + 8


def test_updates_add_up(vectors: np.ndarray) -> None:
    histories = [rows(0, 5, 7), rows(2), rows(7, 8, 9, 16)]
    together = curvature_update(vectors, histories, SETTINGS)
    apart = sum(
        (curvature_update(vectors, [history], SETTINGS) for history in histories[1:]),
        start=curvature_update(vectors, histories[:1], SETTINGS),
    )
    assert together.clients == apart.clients == 3
    assert together.loss == pytest.approx(apart.loss, rel=1e-5)
    for name, array in together.sums.items():
        np.testing.assert_allclose(apart.sums[name], array, rtol=1e-4, atol=1e-5)


def test_updates_with_other_sums_do_not_add_up(vectors: np.ndarray) -> None:
    curvature = curvature_update(vectors, [rows(1)], SETTINGS)
    averaging = local_training_update(vectors, [rows(1)], SETTINGS, epochs=1, learning_rate=0.1)
    with pytest.raises(BadInput, match=r"item_gradient.*item_delta"):
        _ = curvature + averaging
