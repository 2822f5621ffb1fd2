"""What a device sends and keeps: noised once, and sent again."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput, CheckpointMismatch
from feature_store.noised_vector import KeptNoise, kept_noise, noised_once
from feature_store.vector_noise import NoiseSettings, VectorNoise, vector_noise

ITEMS = np.random.default_rng(1).normal(size=(30, 6)).astype(np.float32)
PERSON = UserEmbedding(np.array([0.2, 0.1, -0.4, 0.0, 0.3, 0.5], np.float32), "c1", watermark=4)


def noise_of(epsilon: float = 4.0, mechanism: str = "privunit-g", checkpoint_id: str = "c1") -> VectorNoise:
    return vector_noise(NoiseSettings(mechanism, epsilon), checkpoint_id, ITEMS.T @ ITEMS, ITEMS.sum(axis=0) / 2)


def test_the_same_vector_is_noised_once_and_the_same_is_sent_again() -> None:
    first = noised_once(noise_of(), PERSON)
    again = noised_once(noise_of(), UserEmbedding(PERSON.vector.copy(), "c1", watermark=9), first)
    after_a_restart = noised_once(noise_of(), PERSON, kept_noise(again.to_bytes()))

    assert again is first
    assert after_a_restart.noised.vector.tobytes() == first.noised.vector.tobytes()
    assert after_a_restart.spent == first.spent == 4.0


def test_another_vector_checkpoint_mechanism_or_epsilon_is_noised_anew_and_what_is_spent_adds_up() -> None:
    """Each of them in turn, from the same that is kept."""
    kept = noised_once(noise_of(), PERSON)
    moved = PERSON.vector.copy()
    moved[3] = np.nextafter(np.float32(0), np.float32(1))
    other_items = UserEmbedding(PERSON.vector, "c2")
    for noise, embedding, spent in (
        (noise_of(), UserEmbedding(moved, "c1"), 8.0),
        (noise_of(checkpoint_id="c2"), other_items, 8.0),
        (noise_of(mechanism="subset-selection"), PERSON, 8.0),
        (noise_of(2.5), PERSON, 6.5),
    ):
        anew = noised_once(noise, embedding, kept)
        assert anew.noised.vector.tolist() != kept.noised.vector.tolist()
        assert anew.noised.settings == noise.settings
        assert anew.noised.checkpoint_id == embedding.checkpoint_id
        assert anew.spent == spent


def test_noising_again_without_what_was_kept_gives_something_else_whatever_was_seeded() -> None:
    sent = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002 - the generator that somebody might have seeded
        sent.append(noised_once(noise_of(), PERSON).noised.vector.tolist())
    assert sent[0] != sent[1]


def test_what_is_sent_does_not_hold_what_is_kept_for_comparing() -> None:
    kept = noised_once(noise_of(8.0), PERSON)
    asked = kept.noised.asked()

    assert asked == {
        "query_vector": kept.noised.vector.tolist(),
        "checkpoint_id": "c1",
        "noise": {"mechanism": "privunit-g", "epsilon": 8.0},
    }
    assert kept.noised.vector.dtype == np.float32
    assert kept.made_from not in json.dumps(asked)


def test_a_vector_of_another_checkpoint_or_length_is_refused() -> None:
    with pytest.raises(CheckpointMismatch, match="of checkpoint c2 cannot meet the items of c1"):
        noised_once(noise_of(), UserEmbedding(PERSON.vector, "c2"))
    with pytest.raises(BadInput, match="item vectors have 6 numbers; the user embedding has 5"):
        noised_once(noise_of(), UserEmbedding(PERSON.vector[:5], "c1"))


def test_what_is_kept_is_read_as_it_was_written() -> None:
    kept = noised_once(noise_of(8.0), PERSON, noised_once(noise_of(1.5), PERSON))
    read = kept_noise(kept.to_bytes())

    assert read.noised.vector.tobytes() == kept.noised.vector.tobytes()
    assert (read.noised.checkpoint_id, read.noised.settings) == ("c1", NoiseSettings("privunit-g", 8.0))
    assert (read.made_from, read.spent) == (kept.made_from, 9.5)


KEPT = noised_once(noise_of(), PERSON).to_bytes()


@given(end=st.integers(0, len(KEPT) - 1), other=st.sampled_from([b"", b"[]", b"{}", b'{"noise": 3}', b"\xff"]))
def test_bytes_that_were_not_written_so_are_refused(end: int, other: bytes) -> None:
    for content in (KEPT[:end], other):
        with pytest.raises(BadInput, match="no noised vector that was kept"):
            kept_noise(content)


def test_a_kept_vector_is_a_value() -> None:
    kept = noised_once(noise_of(), PERSON)
    with pytest.raises(AttributeError):
        kept.spent = 0.0
    assert isinstance(kept, KeptNoise)
