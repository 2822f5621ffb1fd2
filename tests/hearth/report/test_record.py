"""The record of a run, and which run another is compared with."""

import json
from pathlib import Path

import pytest

from feature_store.errors import CorruptCheckpoint
from feature_store.signing import SigningKey
from hearth.report.record import RECORD, find_parent, read_record, runs_folder
from tests.feature_store.drafts import a_draft, registry_of
from tests.hearth.report.records import a_run


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record = a_run()
    (tmp_path / RECORD).write_bytes(record.to_bytes())
    assert read_record(tmp_path / RECORD) == record
    assert json.loads(record.to_bytes())["rounds"][1]["ndcg"] == 0.375


@pytest.mark.parametrize("change", [{"checkpoint_id": "../x"}, {"format_version": 2}, {"rounds": [{}]}, {"extra": 1}])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / RECORD).write_text(json.dumps(json.loads(a_run().to_bytes()) | change))
    with pytest.raises(CorruptCheckpoint, match=f"no record of a run: {next(iter(change))}"):
        read_record(tmp_path / RECORD)


def test_a_run_is_compared_with_the_newest_before_it_and_never_with_itself_or_a_later_one(tmp_path: Path) -> None:
    key = SigningKey.generate()
    registry = registry_of(tmp_path, key)
    first, second, third = (registry.publish(a_draft(seed), key) for seed in (1, 2, 3))
    assert find_parent(registry, first) is None
    for manifest, expected in ((second, first), (third, second)):
        found = find_parent(registry, manifest)
        assert found is not None
        assert found.manifest == expected
        assert (found.record, found.note) == (None, "its run left no record here")


def test_a_named_parent_goes_before_a_newer_checkpoint(tmp_path: Path) -> None:
    key = SigningKey.generate()
    registry = registry_of(tmp_path, key)
    first, _ = (registry.publish(a_draft(seed), key) for seed in (1, 2))
    last = registry.publish(a_draft(3), key).model_copy(update={"parent_id": first.checkpoint_id})
    found = find_parent(registry, last)
    assert found is not None
    assert found.manifest == first


def test_checkpoints_of_other_verticals_and_broken_ones_are_passed_over(tmp_path: Path) -> None:
    key = SigningKey.generate()
    registry = registry_of(tmp_path, key)
    first, broken, last = (registry.publish(a_draft(seed), key) for seed in (1, 2, 3))
    (tmp_path / "checkpoints" / broken.checkpoint_id / "manifest.json").write_text("{}")
    found = find_parent(registry, last)
    assert found is not None
    assert found.manifest == first
    other = last.model_copy(update={"catalogues": {"news": ((0, 6),)}})
    assert find_parent(registry, other) is None


def test_a_parents_record_that_cannot_be_used_is_said_and_costs_the_curves_alone(tmp_path: Path) -> None:
    key = SigningKey.generate()
    registry = registry_of(tmp_path, key)
    first, second = (registry.publish(a_draft(seed), key) for seed in (1, 2))
    folder = runs_folder(registry) / first.checkpoint_id
    folder.mkdir(parents=True)
    earlier = a_run(first.checkpoint_id)
    (folder / RECORD).write_bytes(earlier.to_bytes())
    found = find_parent(registry, second)
    assert found is not None
    assert found.record == earlier
    (folder / RECORD).write_text("[]")
    damaged = find_parent(registry, second)
    assert damaged is not None
    assert damaged.record is None
    assert damaged.note.startswith("its record cannot be used: ")
