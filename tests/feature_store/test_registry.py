"""The registry: publish, promote, roll back, and what it says when it cannot."""

import dataclasses
import json
import os
import threading
from pathlib import Path

import pytest

from feature_store.errors import (
    CheckpointError,
    CorruptCheckpoint,
    NothingPromoted,
    UnknownCheckpoint,
    UntrustedCheckpoint,
)
from feature_store.registry import Registry
from feature_store.signing import SigningKey
from feature_store.stages import Stages
from tests.feature_store.drafts import a_draft, registry_of


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def registry(tmp_path: Path, key: SigningKey) -> Registry:
    return registry_of(tmp_path / "registry", key)


def published(registry: Registry, key: SigningKey, *seeds: int) -> list[str]:
    return [registry.publish(a_draft(seed), key).checkpoint_id for seed in seeds]


def test_a_registry_that_is_not_there_yet_is_an_empty_one(registry: Registry) -> None:
    assert registry.checkpoint_ids() == []
    assert registry.stages() == Stages()
    assert not registry.folder.exists()
    with pytest.raises(NothingPromoted, match="published: none"):
        registry.production()


def test_published_checkpoints_are_listed_by_name_and_load(registry: Registry, key: SigningKey) -> None:
    third, first = published(registry, key, 3, 1)
    assert registry.checkpoint_ids() == [first, third]
    assert registry.load(first).manifest == registry.manifest(first)
    assert registry.manifest(third).round_number == 3


def test_publishing_promotes_nothing(registry: Registry, key: SigningKey) -> None:
    [only] = published(registry, key, 1)
    with pytest.raises(NothingPromoted, match=f"published: {only}"):
        registry.production()


def test_the_same_published_twice_is_one_checkpoint_and_the_first(registry: Registry, key: SigningKey) -> None:
    first = registry.publish(a_draft(1), key)
    again = registry.publish(a_draft(1), key)
    assert registry.checkpoint_ids() == [first.checkpoint_id]
    assert again == first
    assert again.created == first.created


def test_nothing_but_checkpoints_lock_stages_and_their_trail_is_left_in_the_folder(
    registry: Registry, key: SigningKey
) -> None:
    for seed in (1, 1, 2):
        registry.promote(*published(registry, key, seed))
    assert sorted(path.name for path in registry.folder.iterdir()) == ["audit", "checkpoints", "lock", "stages.json"]
    assert [path.name for path in (registry.folder / "audit").iterdir()] == ["0000000001.json"]


def test_promoting_and_rolling_back_walk_the_same_way(registry: Registry, key: SigningKey) -> None:
    a, b, c = published(registry, key, 1, 2, 3)
    assert registry.promote(a) == Stages(a)
    assert registry.promote(c) == Stages(c, (a,))
    assert registry.promote(b) == Stages(b, (a, c))
    assert registry.production() == b
    assert registry.roll_back() == Stages(c, (a,))
    assert registry.roll_back() == Stages(a) == registry.stages()
    with pytest.raises(NothingPromoted, match=f"was in production before {a}"):
        registry.roll_back()
    assert registry.production() == a


def test_promoting_what_is_in_production_changes_nothing(registry: Registry, key: SigningKey) -> None:
    a, b = published(registry, key, 1, 2)
    registry.promote(a)
    registry.promote(b)
    assert registry.promote(b) == Stages(b, (a,))
    assert registry.roll_back() == Stages(a)


def test_another_reader_of_the_folder_sees_what_was_promoted(registry: Registry, key: SigningKey) -> None:
    [a] = published(registry, key, 1)
    registry.promote(a)
    assert registry_of(registry.folder, key).production() == a


@pytest.mark.parametrize("checkpoint_id", ["r0009-000000000000", "", ".", "..", "../drafts", "/etc"])
def test_an_unknown_checkpoint_is_named_beside_those_there(
    registry: Registry, key: SigningKey, checkpoint_id: str
) -> None:
    [a] = published(registry, key, 1)
    for ask in (registry.load, registry.manifest, registry.promote):
        with pytest.raises(UnknownCheckpoint, match=f"there are: {a}"):
            ask(checkpoint_id)


def test_a_damaged_checkpoint_is_never_promoted(registry: Registry, key: SigningKey) -> None:
    a, b = published(registry, key, 1, 2)
    registry.promote(a)
    vectors = registry.folder / "checkpoints" / b / "item_vectors.safetensors"
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with pytest.raises(CorruptCheckpoint, match=r"item_vectors\.safetensors"):
        registry.promote(b)
    assert registry.stages() == Stages(a)


def test_a_damaged_checkpoint_is_never_rolled_back_to(registry: Registry, key: SigningKey) -> None:
    a, b = published(registry, key, 1, 2)
    registry.promote(a)
    registry.promote(b)
    (registry.folder / "checkpoints" / a / "item_gram.safetensors").unlink()
    with pytest.raises(CorruptCheckpoint, match=r"has no item_gram\.safetensors"):
        registry.roll_back()
    assert registry.stages() == Stages(b, (a,))


def test_a_checkpoint_of_a_key_that_is_not_trusted_is_never_promoted(registry: Registry, tmp_path: Path) -> None:
    foreign = SigningKey.generate()
    [theirs] = published(registry_of(registry.folder, foreign), foreign, 1)
    with pytest.raises(UntrustedCheckpoint, match=foreign.public.key_id):
        registry.promote(theirs)
    assert registry.stages() == Stages()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"production": null, "previous": 3}',
        b'{"production": 5, "previous": []}',
        b'{"production": ["r0001-aa"], "previous": []}',
        b'{"production": "r0001-aa\\n", "previous": []}',
        b'{"production": "../drafts", "previous": []}',
        b'{"production": "r0001-aa", "previous": ["R"]}',
        b'{"production": "r0001-aa", "previous": "r0002-bb"}',
        b'{"production": "r0001-aa", "previous": [], "shade": null}',
        b'{"production": "r0001-aa", "previous": [], "shadow": "../drafts"}',
        b'{"production": "r0001-aa", "previous": [], "removing": "r0002-bb"}',
        b'{"production": "r0001-aa", "previous": [], "number": -1}',
        b'{"production": "r0001-aa", "previous": [], "change": {}}',
        b'{"production": "r0001-aa"}',
        b'{"production": "\\ud800", "previous": []}',
        b'{"production": "\xff", "previous": []}',
        b"[" * 100_000,
    ],
    ids=lambda content: repr(content)[:60],
)
def test_stages_that_cannot_be_read_are_an_error_that_names_the_file(
    registry: Registry, key: SigningKey, content: bytes
) -> None:
    published(registry, key, 1)
    (registry.folder / "stages.json").write_bytes(content)
    with pytest.raises(CorruptCheckpoint, match=r"stages\.json cannot be read"):
        registry.stages()


def test_stages_larger_than_any_that_were_written_are_not_read(registry: Registry, key: SigningKey) -> None:
    published(registry, key, 1)
    (registry.folder / "stages.json").write_bytes(b'{"production": null, "previous": []}' + b" " * (1 << 20))
    with pytest.raises(CorruptCheckpoint, match=r"stages\.json has 1048612 bytes; it should have at most 1048576"):
        registry.stages()


def test_stages_in_anything_but_a_regular_file_are_an_error_at_once(registry: Registry, key: SigningKey) -> None:
    published(registry, key, 1)
    stages = registry.folder / "stages.json"
    os.mkfifo(stages)
    with pytest.raises(CorruptCheckpoint, match=r"stages\.json is not a regular file"):
        registry.stages()
    stages.unlink()
    stages.mkdir()
    with pytest.raises(CorruptCheckpoint, match=r"stages\.json is not a regular file"):
        registry.stages()
    stages.rmdir()
    stages.symlink_to("/dev/zero")
    with pytest.raises(CorruptCheckpoint, match=r"stages\.json is not a regular file"):
        registry.stages()


def test_the_way_back_does_not_grow_for_ever(registry: Registry, key: SigningKey) -> None:
    [a] = published(registry, key, 1)
    before = [f"r{n:04}-aa" for n in range(1000)]
    (registry.folder / "stages.json").write_text(json.dumps({"production": "r1000-aa", "previous": before}))
    registry.promote(a)
    assert registry.stages() == Stages(a, (*before[1:], "r1000-aa"))


def test_the_stages_of_an_earlier_hearth_go_on_and_are_kept_in_the_trail(registry: Registry, key: SigningKey) -> None:
    a, b = published(registry, key, 1, 2)
    (registry.folder / "stages.json").write_text(json.dumps({"production": a, "previous": []}))
    assert registry.stages() == Stages(a)
    assert registry.promote(b) == Stages(b, (a,))
    assert [(entry.number, entry.production) for entry in registry.audit()] == [(1, b), (0, a)]
    assert registry_of(registry.folder, key).roll_back() == Stages(a)


def test_stages_that_a_person_wrote_follow_those_in_the_trail(registry: Registry, key: SigningKey) -> None:
    a, b = published(registry, key, 1, 2)
    registry.promote(a)
    registry.promote(b)
    (registry.folder / "stages.json").write_text(json.dumps({"production": a, "previous": [b]}))
    registry.roll_back()
    trail = registry.audit()
    assert [entry.number for entry in trail] == [3, 2, 1]
    assert [entry.change is None for entry in trail] == [False, True, False]


def test_a_publication_that_fails_half_way_leaves_nothing(registry: Registry, key: SigningKey) -> None:
    """No manifest can be made of the second draft, and that is found when its arrays are written already."""
    [a] = published(registry, key, 1)
    with pytest.raises(ValueError, match="round_number"):
        registry.publish(dataclasses.replace(a_draft(2), round_number=-1), key)
    assert registry.checkpoint_ids() == [a]
    assert sorted(path.name for path in registry.folder.iterdir()) == ["checkpoints", "lock"]


def test_a_reader_sees_whole_checkpoints_alone_while_they_are_published(registry: Registry, key: SigningKey) -> None:
    writing = threading.Thread(target=published, args=(registry, key, *range(15)))
    writing.start()
    seen = set()
    while writing.is_alive():
        for checkpoint_id in registry.checkpoint_ids():
            try:
                seen.add(registry.load(checkpoint_id).manifest.round_number)
            except CheckpointError as error:
                pytest.fail(f"a checkpoint was listed before it was whole: {error}")
    writing.join()
    assert len(registry.checkpoint_ids()) == 15
