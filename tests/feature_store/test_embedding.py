"""A user embedding is finite, and meets the items of its own checkpoint alone."""

import numpy as np
import pytest

from feature_store.arrays import Float32Array
from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput, CheckpointMismatch


def test_a_vector_is_given_for_its_own_checkpoint() -> None:
    vector = np.array([1.0, 2.0], dtype=np.float32)
    assert UserEmbedding(vector, "r0001-aa").for_checkpoint("r0001-aa") is vector


def test_meeting_another_checkpoint_is_an_error_that_names_both() -> None:
    embedding = UserEmbedding(np.ones(2, dtype=np.float32), "r0001-aa")
    with pytest.raises(CheckpointMismatch, match="r0001-aa cannot meet the items of r0002-bb"):
        embedding.for_checkpoint("r0002-bb")


@pytest.mark.parametrize(
    "vector", [np.ones(2), np.ones((1, 2), dtype=np.float32), np.ones(0, dtype=np.float32), np.ones(2, dtype=np.int32)]
)
def test_only_a_float32_vector_is_one(vector: Float32Array) -> None:
    with pytest.raises(BadInput, match=f"got {vector.dtype} of shape"):
        UserEmbedding(vector, "r0001-aa")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(number: float) -> None:
    with pytest.raises(BadInput, match="finite numbers only"):
        UserEmbedding(np.array([1.0, number], dtype=np.float32), "r0001-aa")


@pytest.mark.parametrize("checkpoint_id", ["", "r" * 257, "\ud800"])
def test_a_checkpoint_id_is_one_that_every_store_can_keep(checkpoint_id: str) -> None:
    with pytest.raises(BadInput, match="checkpoint_id of a user embedding"):
        UserEmbedding(np.ones(2, dtype=np.float32), checkpoint_id)


@pytest.mark.parametrize("watermark", [-1, 2**64])
def test_a_watermark_is_one_that_every_store_can_keep(watermark: int) -> None:
    with pytest.raises(BadInput, match=f"got {watermark}"):
        UserEmbedding(np.ones(2, dtype=np.float32), "r0001-aa", watermark)


def test_embeddings_are_equal_when_vector_checkpoint_and_watermark_are() -> None:
    def embedding(number: float = 1.0, checkpoint_id: str = "r0001-aa", watermark: int = 3) -> UserEmbedding:
        return UserEmbedding(np.array([number], dtype=np.float32), checkpoint_id, watermark)

    assert embedding() == embedding()
    assert hash(embedding()) == hash(embedding())
    assert embedding() != embedding(number=2.0)
    assert embedding() != embedding(checkpoint_id="r0002-bb")
    assert embedding() != embedding(watermark=4)
