"""What a cell sends: the whole gradient, in whole numbers of the steps that were announced."""

import numpy as np
import pytest

from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings, fold_in_many
from tests.training.worlds import checkerboard
from training.client_update import ClientUpdate
from training.compression.algorithm import symmetric
from training.compression.announcement import Announcement, announced, step_codes, steps_of
from training.compression.client import complete_gradient, compressed
from training.compression.digits import unpacked
from training.compression.settings import CompressionSettings
from training.compression.sizes import uplink_bytes
from training.streaming import streamed_update

SPLIT, WEIGHTS = checkerboard(), FoldInSettings(alpha=0.3, regularization=0.02)
VECTORS = np.random.default_rng(1).standard_normal((40, 4)).astype(np.float32)
UPDATE = streamed_update(VECTORS, SPLIT.train, WEIGHTS, activity_exponent=0.3)
NONE = np.empty(0, np.uint8)


def loss(vectors: np.ndarray, embeddings: np.ndarray, weights: np.ndarray) -> float:
    """The loss of docs/training.md with the user embeddings held fixed, in double precision."""
    counts = np.bincount(SPLIT.train.rows, minlength=40)
    total = 0.0
    for history, p, w in zip(SPLIT.train, embeddings, weights, strict=True):
        scores = vectors @ p
        total += w * (np.square(1 - scores[history]).sum() + WEIGHTS.alpha * np.square(scores).sum())
    ridge = WEIGHTS.regularization * weights.mean() * (counts + WEIGHTS.alpha * len(weights))
    return total + float(ridge @ np.square(vectors).sum(axis=1))


def test_the_complete_gradient_is_half_the_derivative_of_the_loss() -> None:
    embeddings = fold_in_many(VECTORS, VECTORS.T @ VECTORS, list(SPLIT.train), WEIGHTS).astype(np.float64)
    weights = SPLIT.train.lengths.astype(np.float64) ** -0.3
    found, at = complete_gradient(UPDATE, VECTORS, WEIGHTS), VECTORS.astype(np.float64)
    for item, axis in ((0, 0), (7, 3), (39, 1)):
        moved = np.zeros_like(at)
        moved[item, axis] = 1e-4
        slope = (loss(at + moved, embeddings, weights) - loss(at - moved, embeddings, weights)) / 2e-4
        assert found[item, axis] == pytest.approx(slope / 2, rel=1e-3, abs=1e-3)


def test_two_cells_gradients_add_up_to_that_of_both_where_their_people_weigh_alike() -> None:
    parts = [streamed_update(VECTORS, list(SPLIT.train)[part], WEIGHTS) for part in (slice(0, 20), slice(20, 60))]
    both = complete_gradient(parts[0] + parts[1], VECTORS, WEIGHTS)
    added = sum(complete_gradient(part, VECTORS, WEIGHTS) for part in parts)
    np.testing.assert_allclose(added, both, rtol=1e-3, atol=1e-4)


def asking(rows: list[int], step: float, levels: int = 2, cells: int = 3) -> Announcement:
    settings = CompressionSettings(levels=levels, cells=cells, table="float32")
    codes = np.zeros(40, np.uint8)
    codes[rows] = step_codes(np.full(len(rows), step, np.float32))
    return announced(VECTORS, codes, settings)


def test_rows_asked_for_are_sent_to_the_nearest_step_and_no_others() -> None:
    sent = compressed(UPDATE, asking([3, 17, 20], 0.125, levels=400, cells=2), WEIGHTS)
    assert set(sent.sums) == {"user_gram", "words"}
    whole = unpacked(sent.sums["words"], 3 * 4, 400, 2).reshape(3, 4)
    gradient = complete_gradient(UPDATE, VECTORS, WEIGHTS)[[3, 17, 20]]
    assert np.abs(whole).max() > 3
    np.testing.assert_allclose(whole * 0.125, gradient, atol=0.0625 + 1e-6)
    assert (sent.loss, sent.clients) == (UPDATE.loss, UPDATE.clients)


def test_numbers_above_the_levels_are_cut_to_them() -> None:
    sent = compressed(UPDATE, asking([3], 2.0**-20), WEIGHTS)
    whole = unpacked(sent.sums["words"], 4, 2, 3)
    assert np.abs(whole).tolist() == [2] * 4
    assert np.array_equal(np.sign(whole), np.sign(complete_gradient(UPDATE, VECTORS, WEIGHTS)[3]))


def test_the_survey_says_how_long_rows_are_and_sends_none() -> None:
    sent = compressed(UPDATE, announced(VECTORS, NONE, CompressionSettings(table="float32")), WEIGHTS)
    gradient = complete_gradient(UPDATE, VECTORS, WEIGHTS)
    np.testing.assert_allclose(sent.sums["row_lengths"], np.sqrt(np.square(gradient).sum(axis=1)), rtol=1e-5)
    np.testing.assert_array_equal(sent.sums["item_counts"], np.bincount(SPLIT.train.rows, minlength=40))
    np.testing.assert_array_equal(symmetric(sent.sums["user_gram"], 4), UPDATE.sums["user_gram"])
    assert not any(array.ndim > 1 for array in sent.sums.values())


@pytest.mark.parametrize("round_number", [1, 2])
def test_sizes_are_those_of_what_is_sent(round_number: int) -> None:
    settings = CompressionSettings(levels=2, rows=0.25, cells=3)
    asked = announced(VECTORS, NONE, settings) if round_number == 1 else asking(list(range(10)), 0.1)
    sums = compressed(UPDATE, asked, WEIGHTS).sums
    expected = sum(array.size * (2 if name == "words" else 4) for name, array in sums.items()) + 16
    assert uplink_bytes(round_number, 40, 4, settings) == expected


def test_steps_of_other_items_are_refused() -> None:
    asked = Announcement(VECTORS, np.ones(40, np.float32), np.ones(39, np.uint8), 2, 3)
    with pytest.raises(BadInput, match="steps of 40 rows are due; got 39"):
        compressed(UPDATE, asked, WEIGHTS)


def test_a_step_is_one_that_a_code_says() -> None:
    assert steps_of(step_codes(np.array([0.125], np.float32))).tolist() == [0.125]


def test_an_update_of_nobody_elses_numbers_is_left_as_it_was() -> None:
    before = {name: array.copy() for name, array in UPDATE.sums.items()}
    compressed(UPDATE, asking([1], 0.1), WEIGHTS)
    assert isinstance(UPDATE, ClientUpdate)
    assert all(np.array_equal(array, before[name]) for name, array in UPDATE.sums.items())
