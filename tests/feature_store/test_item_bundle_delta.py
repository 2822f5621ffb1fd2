"""Changes of an item bundle: whatever changed, a device comes to the same bytes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.checkpoint import CheckpointDraft
from feature_store.errors import BundleMismatch, CorruptBundle, UntrustedCheckpoint
from feature_store.fold_in import FoldInSettings
from feature_store.item_bundle import ItemBundle, make_bundle, read_bundle
from feature_store.item_bundle_delta import DELTA_MAGIC, apply_delta, make_delta
from feature_store.sealed_file import open_sealed, seal
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary
from tests.feature_store.drafts import a_draft, registry_of
from tests.feature_store.test_item_bundle import KEY, TRUSTED, bundled, loaded, low_rank


def draft_of(item_ids: list[str], vectors: np.ndarray) -> CheckpointDraft:
    return CheckpointDraft(
        vocabulary=ItemVocabulary(item_ids),
        item_vectors=vectors.astype(np.float32),
        item_counts=np.abs(vectors[:, 0]).astype(np.float32) * 10,
        fold_in=FoldInSettings(0.1, 0.01),
        round_number=1,
        catalogues={"films": ((0, len(item_ids)),)},
    )


def bundle_of_draft(
    draft: CheckpointDraft, folder: Path, titles: dict[str, str], leave_out: frozenset[str] = frozenset()
) -> ItemBundle:
    return read_bundle(make_bundle(loaded(draft, folder), titles, KEY, leave_out).to_bytes(), TRUSTED)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_changes_of_any_bundle_to_any_other_lead_to_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Items added, removed, moved, retitled, retrained: all at once, and any of them not at all."""
    folder = tmp_path_factory.mktemp("registry")
    pool = [f"item {n}" for n in range(8)]

    def drawn() -> ItemBundle:
        item_ids = data.draw(st.lists(st.sampled_from(pool), min_size=1, unique=True))
        seed = data.draw(st.integers(0, 3))
        every = np.random.default_rng(seed).normal(size=(len(pool), 4))
        titles = data.draw(st.dictionaries(st.sampled_from(pool), st.text(st.characters(codec="utf-8"), max_size=4)))
        return bundle_of_draft(draft_of(item_ids, every[[pool.index(i) for i in item_ids]]), folder, titles)

    old, new = drawn(), drawn()
    made = apply_delta(old, make_delta(old, new, KEY), TRUSTED)
    assert made.sealed.to_bytes() == new.sealed.to_bytes()
    assert made.bundle_id == new.bundle_id
    assert made.titles == new.titles


def test_weights_and_context_change_with_the_rest_and_may_go(tmp_path: Path) -> None:
    with_weights, without = a_draft(1), dataclasses.replace(a_draft(2), item_item=None)
    bundles = [bundle_of_draft(draft, tmp_path, {}) for draft in (with_weights, without, a_draft(3))]
    for old in bundles:
        for new in bundles:
            made = apply_delta(old, make_delta(old, new, KEY), TRUSTED)
            assert made.sealed.to_bytes() == new.sealed.to_bytes()
            assert (made.item_item is None) == (new.item_item is None)


def test_what_did_not_change_costs_next_to_nothing(tmp_path: Path) -> None:
    titles = {f"item {n}": f"The {n * 7919}th title of {n * 104729}" for n in range(3000)}
    first = low_rank()
    old = bundle_of_draft(first, tmp_path, titles)
    moved = first.item_vectors.copy()
    moved[7] += 1
    retrained = dataclasses.replace(first, item_vectors=moved)
    new = bundle_of_draft(retrained, tmp_path, titles | {"item 9": "another"}, frozenset({"item 5"}))
    delta = make_delta(old, new, KEY)
    whole = len(new.sealed.to_bytes())
    assert len(delta) < 0.08 * whole  # of which the gram has most
    assert apply_delta(old, delta, TRUSTED).titles[8] == "another"


def test_differences_are_written_as_the_format_says_and_those_of_a_new_item_are_its_own_codes(tmp_path: Path) -> None:
    """Decoded here by docs/item-bundle.md alone: 2d, or −2d − 1 below zero; all lower bytes, then all upper ones."""
    vectors = np.random.default_rng(1).normal(size=(3, 5))
    old = bundle_of_draft(draft_of(["a", "b"], vectors[:2]), tmp_path, {})
    new = bundle_of_draft(draft_of(["b", "c"], vectors[[0, 2]]), tmp_path, {})
    planes = np.frombuffer(
        open_sealed(make_delta(old, new, KEY), DELTA_MAGIC, TRUSTED, "it").sections["codes"], np.uint8
    )
    folded = planes.reshape(2, 2, 5).astype(int)
    written = folded[0] + 256 * folded[1]
    differences = np.where(written % 2, -(written + 1) // 2, written // 2)
    codes_of_old, codes = (bundle.vectors.codes().astype(int) for bundle in (old, new))
    assert differences.tolist() == [(codes[0] - codes_of_old[1]).tolist(), codes[1].tolist()]


def test_changes_met_by_another_bundle_name_both(tmp_path: Path) -> None:
    a, b, c = [bundle_of_draft(a_draft(seed), tmp_path, {}) for seed in (1, 2, 3)]
    with pytest.raises(BundleMismatch, match=f"changes of bundle {a.bundle_id[:12]}; here is {c.bundle_id[:12]}"):
        apply_delta(c, make_delta(a, b, KEY), TRUSTED)
    wide = bundle_of_draft(a_draft(1, dim=5), tmp_path, {})
    with pytest.raises(BundleMismatch, match="vectors of 3 numbers to those of 5"):
        make_delta(a, wide, KEY)


def test_no_byte_of_the_changes_can_be_changed_or_left_out(tmp_path: Path) -> None:
    old, new = [bundle_of_draft(a_draft(seed), tmp_path, {}) for seed in (1, 2)]
    delta = make_delta(old, new, KEY)
    for position in range(len(delta)):
        flipped = bytearray(delta)
        flipped[position] ^= 1 << (position % 8)
        for damaged in (bytes(flipped), delta[:position]):
            with pytest.raises((CorruptBundle, UntrustedCheckpoint)):
                apply_delta(old, damaged, TRUSTED)
    with pytest.raises(UntrustedCheckpoint, match="which is not trusted"):
        apply_delta(old, delta, TrustedKeys([SigningKey.generate().public]))


@pytest.mark.parametrize("name", ["source", "added_ids", "retitled_rows", "retitled", "codes", "steps", "whole_gram"])
@pytest.mark.parametrize("content", [None, b"", b"[]", bytes(24), b'{"a":1}', b"\xff" * 24])
def test_signed_changes_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    old = bundle_of_draft(a_draft(1), tmp_path, {"item 0": "first"})
    new = bundle_of_draft(a_draft(2, items=7), tmp_path, {"item 0": "second"})
    opened = open_sealed(make_delta(old, new, KEY), DELTA_MAGIC, TRUSTED, "it")
    sections = {key: value for key, value in opened.sections.items() if key != name}
    if content is not None:
        sections[name] = content
    forged = seal(DELTA_MAGIC, opened.facts, sections, KEY).to_bytes()
    with pytest.raises(CorruptBundle):
        apply_delta(old, forged, TRUSTED)


def test_the_bundle_that_changes_lead_to_needs_a_trusted_signature_of_its_own(tmp_path: Path) -> None:
    stranger = SigningKey.generate()
    registry = registry_of(tmp_path / "theirs", stranger)
    theirs = registry.load(registry.publish(a_draft(2), stranger).checkpoint_id)
    foreign = read_bundle(make_bundle(theirs, {}, stranger).to_bytes(), TrustedKeys([stranger.public]))
    old = read_bundle(bundled(loaded(a_draft(1), tmp_path)), TRUSTED)
    with pytest.raises(UntrustedCheckpoint, match="the item bundle that was made is signed by key"):
        apply_delta(old, make_delta(old, foreign, KEY), TRUSTED)
