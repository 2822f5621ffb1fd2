"""The query tower in a checkpoint: written, verified, part of the id, and missing where there is none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from feature_store.checkpoint_reading import read_checkpoint
from feature_store.errors import BadInput, CorruptCheckpoint
from feature_store.query_tower import ContextValue, QueryTower
from feature_store.signing import SigningKey, TrustedKeys
from tests.feature_store.drafts import a_draft, registry_of, sign_again

TOWER = QueryTower(
    3, {ContextValue("hour", "0"): np.ones(3, np.float32), ContextValue("device", "tv"): np.arange(3, dtype=np.float32)}
)


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


def published(folder: Path, key: SigningKey, tower: QueryTower | None) -> Path:
    """The folder of draft 5 with that tower."""
    manifest = registry_of(folder, key).publish(replace(a_draft(5), query_tower=tower), key)
    return folder / "checkpoints" / manifest.checkpoint_id


def test_the_tower_that_was_published_is_what_is_read_and_nobody_can_write_in_it(
    tmp_path: Path, key: SigningKey
) -> None:
    folder = published(tmp_path, key, TOWER)
    read = read_checkpoint(folder, TrustedKeys([key.public])).query_tower
    assert read is not None
    assert read.vectors.keys() == TOWER.vectors.keys()
    for value, vector in TOWER.vectors.items():
        np.testing.assert_array_equal(read.vectors[value], vector)
        with pytest.raises(ValueError, match="read-only"):
            read.vectors[value][0] = 1.0


def test_without_a_tower_there_is_no_file_and_the_id_is_another(tmp_path: Path, key: SigningKey) -> None:
    folders = [published(tmp_path / str(n), key, tower) for n, tower in enumerate((None, TOWER, QueryTower(3, {})))]
    assert len({folder.name for folder in folders}) == 3
    assert not (folders[0] / "context.safetensors").exists()
    assert read_checkpoint(folders[0], TrustedKeys([key.public])).query_tower is None


@pytest.mark.parametrize(
    "content",
    [
        b"no tensors",
        save({"hour/1": np.zeros(4, np.float32)}),
        save({"hour/1": np.zeros(3, np.float64)}),
        save({"mood/1": np.zeros(3, np.float32)}),
        save({"hour/1": np.full(3, np.inf, np.float32)}),
    ],
)
def test_a_signed_file_that_is_no_tower_is_refused(tmp_path: Path, key: SigningKey, content: bytes) -> None:
    folder = published(tmp_path, key, TOWER)
    (folder / "context.safetensors").write_bytes(content)
    sign_again(folder, key)
    with pytest.raises(CorruptCheckpoint, match=folder.name):
        read_checkpoint(folder, TrustedKeys([key.public]))


def test_a_tower_of_another_length_than_the_items_is_refused() -> None:
    with pytest.raises(BadInput, match="got 2 and 3 numbers"):
        replace(a_draft(5), query_tower=QueryTower(2, {}))
