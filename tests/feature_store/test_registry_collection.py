"""What stays in a registry, and why."""

from datetime import UTC, datetime

import pytest

from feature_store.blend import UNBLENDED
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings
from feature_store.manifest import CheckpointManifest
from feature_store.registry_collection import Rules, reasons_to_keep
from feature_store.stages import NO_ENTRY, Entry


def manifest(checkpoint_id: str, parent_id: str | None = None) -> CheckpointManifest:
    return CheckpointManifest(
        checkpoint_id=checkpoint_id,
        parent_id=parent_id,
        created=datetime.now(UTC),
        round_number=1,
        dim=2,
        catalogues={"films": ((0, 1),)},
        fold_in=FoldInSettings(0.1, 0.01),
        blend=UNBLENDED,
        files={},
    )


AGES = {name: 100.0 * place for place, name in enumerate("abcdefgh", 1)}  # a is the youngest
LINE = {"h": None, "g": "h", "f": "g", "e": "f", "d": "e", "c": "d", "b": "c", "a": "b"}
MANIFESTS = {name: manifest(name, parent) for name, parent in LINE.items()}


def test_the_newest_candidates_stay_and_what_was_in_production_is_none_of_them() -> None:
    now = Entry(production="h", previous=("a", "b", "g"))
    assert reasons_to_keep(now, AGES, MANIFESTS, Rules(keep=2, grace=0.0)) == {
        "h": "production",
        "b": "roll back",
        "g": "roll back",
        "c": "candidate",
        "d": "candidate",
    }


def test_a_stage_comes_before_every_other_reason() -> None:
    now = Entry(production="a", previous=("a", "b"), shadow="b")
    kept = reasons_to_keep(now, AGES, MANIFESTS, Rules(keep=1, needed=frozenset({"a", "c", "gone"}), grace=450.0))
    assert kept == {"a": "production", "b": "shadow", "c": "needed", "d": "young", "e": "candidate"}


def test_what_was_being_removed_is_no_candidate_but_may_be_needed() -> None:
    now = Entry(production=None, previous=(), removing=("a", "b"))
    kept = reasons_to_keep(now, AGES, MANIFESTS, Rules(keep=1, needed=frozenset({"b"}), grace=0.0))
    assert kept == {"b": "needed", "c": "candidate"}


def test_what_cannot_be_read_stays_for_a_person_to_look_at() -> None:
    readable = {name: found for name, found in MANIFESTS.items() if name != "f"}
    assert reasons_to_keep(NO_ENTRY, AGES, readable, Rules(keep=1, grace=0.0)) == {"a": "candidate", "f": "unreadable"}


def test_parents_stay_only_when_asked_for_and_then_all_of_the_line() -> None:
    now = Entry(production="e", previous=())
    without = reasons_to_keep(now, AGES, MANIFESTS, Rules(keep=1, grace=0.0))
    assert without == {"e": "production", "a": "candidate"}
    kept = reasons_to_keep(now, AGES, MANIFESTS, Rules(keep=1, grace=0.0, keep_parents=True))
    assert kept == without | dict.fromkeys("bcdfgh", "parent")


@pytest.mark.parametrize(("keep", "grace"), [(0, 0.0), (1, -1.0), (1, float("nan"))])
def test_rules_that_would_keep_nothing_are_refused(keep: int, grace: float) -> None:
    with pytest.raises(BadInput, match="keeps at least 1 checkpoint"):
        Rules(keep, grace=grace)
