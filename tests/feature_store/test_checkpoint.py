"""A checkpoint is read whole and verified, or not at all."""

import dataclasses
import json
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from feature_store.blend import BlendSettings
from feature_store.checkpoint import CheckpointDraft
from feature_store.checkpoint_reading import read_checkpoint, read_manifest
from feature_store.errors import (
    BadInput,
    CheckpointError,
    CorruptCheckpoint,
    UnknownCheckpoint,
    UntrustedCheckpoint,
)
from feature_store.fold_in import FoldInSettings, fold_in
from feature_store.item_item import ItemItem
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary
from tests.feature_store.drafts import a_draft, registry_of, sign_again

FILES = [
    "item_counts.safetensors",
    "item_gram.safetensors",
    "item_ids.json",
    "item_item.safetensors",
    "item_vectors.safetensors",
    "manifest.json",
    "manifest.sig",
]


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def trusted(key: SigningKey) -> TrustedKeys:
    return TrustedKeys([key.public])


@pytest.fixture
def folder(tmp_path: Path, key: SigningKey) -> Path:
    """The folder of a published checkpoint of draft 5."""
    manifest = registry_of(tmp_path, key).publish(a_draft(5), key)
    return tmp_path / "checkpoints" / manifest.checkpoint_id


def test_what_was_published_is_what_is_read(folder: Path, trusted: TrustedKeys) -> None:
    draft, checkpoint = a_draft(5), read_checkpoint(folder, trusted)
    assert checkpoint.vocabulary == draft.vocabulary
    np.testing.assert_array_equal(checkpoint.item_vectors, draft.item_vectors)
    np.testing.assert_array_equal(checkpoint.item_counts, draft.item_counts)
    np.testing.assert_allclose(checkpoint.item_gram, draft.item_vectors.T @ draft.item_vectors, rtol=1e-6)
    assert checkpoint.item_item is not None
    assert draft.item_item is not None
    np.testing.assert_array_equal(checkpoint.item_item.rows, draft.item_item.rows)
    np.testing.assert_array_equal(checkpoint.item_item.weights, draft.item_item.weights)
    manifest = checkpoint.manifest
    assert (manifest.round_number, manifest.dim, manifest.items, manifest.parent_id) == (5, 3, 6, None)
    assert (manifest.catalogues, manifest.fold_in, manifest.blend) == (draft.catalogues, draft.fold_in, draft.blend)
    assert (manifest.metrics, manifest.training) == (draft.metrics, draft.training)
    assert manifest.privacy is None
    assert manifest == read_manifest(folder, trusted)


def test_a_checkpoint_holds_these_files_and_no_others(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == FILES


def test_a_checkpoint_may_have_no_item_item_weights(tmp_path: Path, trusted: TrustedKeys, key: SigningKey) -> None:
    manifest = registry_of(tmp_path, key).publish(changed(item_item=None), key)
    folder = tmp_path / "checkpoints" / manifest.checkpoint_id
    assert not (folder / "item_item.safetensors").exists()
    assert read_checkpoint(folder, trusted).item_item is None


def test_nobody_can_write_in_the_arrays_of_a_checkpoint(folder: Path, trusted: TrustedKeys) -> None:
    checkpoint = read_checkpoint(folder, trusted)
    assert checkpoint.item_item is not None
    of_pairs = (checkpoint.item_item.rows, checkpoint.item_item.weights)
    for array in (checkpoint.item_vectors, checkpoint.item_gram, checkpoint.item_counts, *of_pairs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_a_checkpoint_folds_in_on_its_own_items_and_names_itself(folder: Path, trusted: TrustedKeys) -> None:
    checkpoint, draft = read_checkpoint(folder, trusted), a_draft(5)
    Q, rows = draft.item_vectors, np.array([0, 4], dtype=np.int32)
    embedding = checkpoint.fold_in(rows, watermark=8)
    np.testing.assert_allclose(embedding.vector, fold_in(Q, Q.T @ Q, rows, draft.fold_in), rtol=1e-5)
    assert (embedding.checkpoint_id, embedding.watermark) == (folder.name, 8)
    np.testing.assert_allclose(checkpoint.fold_in_many([rows[:0], rows])[1], embedding.vector, rtol=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_one_bit_changed_anywhere_in_a_file_is_found(folder: Path, trusted: TrustedKeys, name: str) -> None:
    content = (folder / name).read_bytes()
    for place in range(0, len(content), max(1, len(content) // 60)):
        changed = bytearray(content)
        changed[place] ^= 1
        (folder / name).write_bytes(changed)
        with pytest.raises((CorruptCheckpoint, UntrustedCheckpoint), match=folder.name):
            read_checkpoint(folder, trusted)
    (folder / name).write_bytes(content)
    read_checkpoint(folder, trusted)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0, 0.5, -1])
def test_a_file_cut_short_is_found(folder: Path, trusted: TrustedKeys, name: str, kept: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * kept) if kept >= 0 else -1])
    with pytest.raises((CorruptCheckpoint, UntrustedCheckpoint), match=folder.name):
        read_checkpoint(folder, trusted)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_named(folder: Path, trusted: TrustedKeys, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CorruptCheckpoint, match=f"checkpoint {folder.name} has no {name}"):
        read_checkpoint(folder, trusted)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_a_regular_one_is_named_at_once(folder: Path, trusted: TrustedKeys, name: str) -> None:
    """Reading a FIFO that nobody writes to would never end."""
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(CorruptCheckpoint, match=f"{name} is not a regular file"):
        read_checkpoint(folder, trusted)


def test_a_socket_in_the_place_of_a_file_is_not_a_regular_one_either(folder: Path, trusted: TrustedKeys) -> None:
    (folder / "manifest.json").unlink()
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{short}/socket")  # a socket's path has 107 bytes at most
        (folder / "manifest.json").symlink_to(f"{short}/socket")
        with pytest.raises(CorruptCheckpoint, match=r"manifest\.json is not a regular file"):
            read_checkpoint(folder, trusted)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_larger_than_it_should_be_is_not_read(folder: Path, trusted: TrustedKeys, name: str) -> None:
    with (folder / name).open("r+b") as file:
        file.truncate(1 << 40)  # a hole: it takes no room on the disk, and would not go into memory
    with pytest.raises(CorruptCheckpoint, match=f"{name} has 1099511627776 bytes; it should have at most"):
        read_checkpoint(folder, trusted)


def test_a_folder_that_is_not_there_is_an_unknown_checkpoint(tmp_path: Path, trusted: TrustedKeys) -> None:
    with pytest.raises(UnknownCheckpoint, match="there is no checkpoint r0001-aa"):
        read_checkpoint(tmp_path / "r0001-aa", trusted)


def test_a_manifest_that_was_edited_is_not_trusted(folder: Path, trusted: TrustedKeys) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["metrics"]["ndcg@20"] = 0.99
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        UntrustedCheckpoint, match=f"checkpoint {folder.name} carries a signature .* not over its bytes"
    ):
        read_manifest(folder, trusted)


def test_a_checkpoint_signed_by_a_foreign_key_is_not_trusted(folder: Path, trusted: TrustedKeys) -> None:
    foreign = SigningKey.generate()
    sign_again(folder, foreign)
    with pytest.raises(UntrustedCheckpoint, match=f"{folder.name} is signed by key {foreign.public.key_id}"):
        read_checkpoint(folder, trusted)
    read_checkpoint(folder, TrustedKeys([foreign.public]))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"key_id": "a", "signature": "zz"}', b'{"key_id": 1}', b"[" * 4000],
    ids=lambda content: repr(content)[:60],
)
def test_a_signature_file_that_is_none_is_not_trusted(folder: Path, trusted: TrustedKeys, content: bytes) -> None:
    (folder / "manifest.sig").write_bytes(content)
    with pytest.raises(UntrustedCheckpoint, match=f"the signature of checkpoint {folder.name} cannot be read"):
        read_checkpoint(folder, trusted)


def test_a_folder_that_was_renamed_is_not_taken_for_another_checkpoint(folder: Path, trusted: TrustedKeys) -> None:
    """Else who can write in a registry could put an old checkpoint in the place of a new one."""
    other = folder.rename(folder.with_name("r0006-000000000000"))
    with pytest.raises(CorruptCheckpoint, match=f"the folder {other.name} holds the manifest of {folder.name}"):
        read_checkpoint(other, trusted)


def test_another_format_signed_as_it_should_be_is_refused_naming_both(
    folder: Path, trusted: TrustedKeys, key: SigningKey
) -> None:
    sign_again(folder, key, format_version=3)
    with pytest.raises(CorruptCheckpoint, match="has format 3; this Hearth reads format 2"):
        read_checkpoint(folder, trusted)


@pytest.mark.parametrize("changes", [{"surprise": 1}, {"dim": 0}, {"checkpoint_id": "../up"}, {"files": 3}])
def test_a_signed_manifest_that_is_none_of_this_format_is_refused(
    folder: Path, trusted: TrustedKeys, key: SigningKey, changes: dict[str, object]
) -> None:
    sign_again(folder, key, **changes)
    with pytest.raises(CorruptCheckpoint, match=f"the manifest of {folder.name} is not one of format 2"):
        read_checkpoint(folder, trusted)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("item_vectors", np.zeros((6, 4), np.float32), "item_vectors"),
        ("item_vectors", np.zeros((6, 3), np.float64), "item_vectors"),
        ("item_gram", np.zeros((3, 4), np.float32), "item_gram"),
        ("item_counts", np.full(6, np.nan, np.float32), "item_counts"),
        ("item_counts", np.zeros(5, np.float32), "item_counts"),
    ],
)
def test_signed_arrays_that_do_not_fit_are_refused_by_name(
    folder: Path, trusted: TrustedKeys, key: SigningKey, name: str, content: np.typing.NDArray[np.float32], reason: str
) -> None:
    (folder / f"{name}.safetensors").write_bytes(save({name: content}))
    sign_again(folder, key)
    with pytest.raises(CorruptCheckpoint, match=f"^{reason} of checkpoint {folder.name} is float"):
        read_checkpoint(folder, trusted)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("item_ids.json", b'["one", "two"]'),
        ("item_ids.json", b'["a", "a", "b", "c", "d", "e"]'),
        ("item_ids.json", b"\xff"),
        ("item_ids.json", b'["a", "b", "c", "d", "e", 6]'),
        ("item_ids.json", b'["a", "b", "c", "d", "e", "\\ud800"]'),
        ("item_ids.json", b"[" * 100_000),
        ("item_item.safetensors", b"no tensors"),
        ("item_item.safetensors", save({"rows": np.array([1, 6], np.int32), "weights": np.zeros((2, 2), np.float32)})),
        ("item_item.safetensors", save({"rows": np.array([1, 4], np.int32), "weights": np.zeros((2, 3), np.float32)})),
        ("item_item.safetensors", save({"rows": np.array([4, 1], np.int32), "weights": np.zeros((2, 2), np.float32)})),
        ("item_item.safetensors", save({"rows": np.array([1, 4], np.int32)})),
        ("item_gram.safetensors", b"no tensors"),
        ("item_gram.safetensors", save({"another": np.zeros((3, 3), np.float32)})),
        ("item_gram.safetensors", (100_000).to_bytes(8, "little") + b"[" * 100_000),
    ],
    ids=lambda part: repr(part)[:60],
)
def test_signed_files_of_the_wrong_content_are_refused(
    folder: Path, trusted: TrustedKeys, key: SigningKey, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    sign_again(folder, key)
    with pytest.raises(CorruptCheckpoint, match=folder.name):
        read_checkpoint(folder, trusted)


def test_signed_catalogues_that_share_a_row_are_refused(folder: Path, trusted: TrustedKeys, key: SigningKey) -> None:
    sign_again(folder, key, catalogues={"films": [[0, 4]], "books": [[3, 5]]})
    with pytest.raises(CorruptCheckpoint, match="'books' go from 3 to 5, where a range from 4 on is due"):
        read_checkpoint(folder, trusted)


def test_a_signed_manifest_that_leaves_out_a_file_is_refused(
    folder: Path, trusted: TrustedKeys, key: SigningKey
) -> None:
    files = json.loads((folder / "manifest.json").read_bytes())["files"]
    del files["item_gram.safetensors"]
    sign_again(folder, key, files=files)
    with pytest.raises(CheckpointError, match=r"item_gram\.safetensors"):
        read_checkpoint(folder, trusted)


class TestIds:
    """An id follows from the content: all that a reader depends on, and nothing else."""

    def id_of(self, tmp_path: Path, draft: CheckpointDraft) -> str:
        key = SigningKey.generate()
        return registry_of(tmp_path / key.public.key_id, key).publish(draft, key).checkpoint_id

    def test_the_same_content_has_the_same_id_whoever_signs_it(self, tmp_path: Path) -> None:
        assert self.id_of(tmp_path, a_draft(5)) == self.id_of(tmp_path, a_draft(5))
        assert self.id_of(tmp_path, a_draft(5)).startswith("r0005-")

    @pytest.mark.parametrize(
        "changes",
        [
            {"item_vectors": a_draft(6).item_vectors},
            {"item_counts": a_draft(6).item_counts},
            {"vocabulary": ItemVocabulary("abcdef")},
            {"fold_in": FoldInSettings(0.2, 0.01)},
            {"catalogues": {"films": ((0, 6),)}},
            {"catalogues": {"films": ((0, 4), (4, 5)), "books": ((5, 6),)}},
            {"blend": BlendSettings(0.5, 100)},
            {"blend": BlendSettings(0.0, 100)},
            {"blend": BlendSettings(0.5, 60, discount=0.1)},
            {"item_item": None},
            {"item_item": ItemItem(np.array([1, 4], np.int32), np.zeros((2, 2), np.float32))},
            {"parent_id": "r0004-aa"},
            {"round_number": 6},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_other_content_has_another_id(self, tmp_path: Path, changes: dict[str, object]) -> None:
        assert self.id_of(tmp_path, changed(**changes)) != self.id_of(tmp_path, a_draft(5))


class TestDrafts:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"item_vectors": np.zeros((5, 3), np.float32)}, r"item vectors of 6 items have shape \(6, dim\); got"),
            ({"item_vectors": np.zeros((6, 0), np.float32)}, r"item vectors of 6 items have shape \(6, dim\); got"),
            ({"item_vectors": np.zeros(6, np.float32)}, r"item vectors of 6 items have shape \(6, dim\); got"),
            ({"item_vectors": np.zeros((6, 3))}, "item_vectors of a checkpoint are finite float32"),
            ({"item_vectors": np.full((6, 3), np.inf, np.float32)}, "item_vectors of a checkpoint are finite float32"),
            (
                {"item_item": ItemItem(np.array([6], np.int32), np.zeros((1, 1), np.float32))},
                "of rows below 6; got row 6",
            ),
            ({"item_counts": np.zeros(5, np.float32)}, r"item counts of 6 items have shape \(6,\); got \(5,\)"),
            ({"item_counts": np.full(6, np.nan, np.float32)}, "item_counts of a checkpoint are finite float32"),
            ({"item_counts": np.full(6, -1, np.float32)}, "item counts are numbers of people, >= 0; got -1"),
            ({"catalogues": {"films": ((0, 5),)}}, "do not add up to the 6 items"),
            ({"catalogues": {"": ((0, 6),)}}, "one of the names is empty"),
        ],
    )
    def test_a_draft_that_no_reader_could_use_is_refused(self, changes: dict[str, object], reason: str) -> None:
        with pytest.raises(BadInput, match=reason):
            changed(**changes)


def changed(**changes: object) -> CheckpointDraft:
    """Draft 5 with other fields."""
    fields: dict[str, Any] = changes
    return dataclasses.replace(a_draft(5), **fields)
