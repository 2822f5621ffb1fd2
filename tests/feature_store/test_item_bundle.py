"""The item bundle: what it holds, how near its ranking is to the exact one, and what is not believed of it."""

import dataclasses
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from feature_store.blend import BlendSettings, discounts, popular_share, popularity
from feature_store.checkpoint import Checkpoint, CheckpointDraft
from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput, CheckpointMismatch, CorruptBundle, UntrustedCheckpoint
from feature_store.fold_in import FoldInSettings
from feature_store.item_bundle import ItemBundle, make_bundle, quantise, read_bundle
from feature_store.item_bundle_rank import folded_in, rank
from feature_store.item_item import ItemItem
from feature_store.query_tower import ContextValue, QueryTower
from feature_store.sealed_file import open_sealed, seal
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary
from tests.feature_store.drafts import a_draft, registry_of

KEY = SigningKey.generate()
TRUSTED = TrustedKeys([KEY.public])
TITLES = {"item 0": "Ein Titel", "item 3": "東京物語\n(1953)"}


def loaded(draft: CheckpointDraft, folder: Path) -> Checkpoint:
    registry = registry_of(folder / "registry", KEY)
    return registry.load(registry.publish(draft, KEY).checkpoint_id)


def bundled(checkpoint: Checkpoint, titles: dict[str, str] = TITLES, leave_out: frozenset[str] = frozenset()) -> bytes:
    return make_bundle(checkpoint, titles, KEY, leave_out).to_bytes()


def low_rank(items: int = 3000, dim: int = 32, **changes: object) -> CheckpointDraft:
    """Vectors of which the first directions matter most, and norms of which some are large, as training leaves them."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(items, dim)) / np.sqrt(1 + np.arange(dim)) * rng.gamma(4, 0.25, size=(items, 1))
    turned = vectors @ np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    draft = CheckpointDraft(
        vocabulary=ItemVocabulary(f"item {n}" for n in range(items)),
        item_vectors=turned.astype(np.float32),
        item_counts=(rng.pareto(1.2, size=items) * 5).astype(np.float32),
        fold_in=FoldInSettings(alpha=0.1, regularization=0.01),
        round_number=3,
        catalogues={"films": ((0, items),)},
    )
    return dataclasses.replace(draft, **changes)  # type: ignore[arg-type]  # fields by name


def exact_scores(checkpoint: Checkpoint, met: np.ndarray) -> np.ndarray:
    """The score that serving gives, from the float32 vectors, in double precision."""
    blend, counts = checkpoint.manifest.blend, checkpoint.item_counts
    scores = checkpoint.item_vectors.astype(np.float64) @ checkpoint.fold_in(met).vector
    if checkpoint.item_item is not None:
        scores[checkpoint.item_item.rows] += checkpoint.item_item.added([met])[0]
    share = popular_share(len(met), blend)
    scores = (1 - share) * scores * discounts(counts, blend) + share * popularity(counts, blend)
    scores[met] = -np.inf
    return scores


def histories(checkpoint: Checkpoint, people: int, length: int) -> list[np.ndarray]:
    """People who met what lies in the direction of a taste, and some other things."""
    rng, vectors = np.random.default_rng(6), checkpoint.item_vectors
    tastes = vectors[rng.integers(0, len(vectors), size=people)]
    noisy = vectors @ tastes.T + rng.normal(size=(len(vectors), people))
    return [np.sort(np.argsort(-column)[:length]).astype(np.int32) for column in noisy.T]


@given(arrays(np.float32, (4, 5), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_a_rounded_weight_is_at_most_half_a_step_away(rows: np.ndarray) -> None:
    codes, scales = quantise(rows)
    assert (np.abs(codes.astype(int)) <= 127).all()
    steps = scales.astype(np.float64)[:, None]
    slack = 1e-5 * np.abs(rows).astype(np.float64) + 1e-38
    assert (np.abs(codes * steps - rows) <= steps / 2 + slack).all()


def test_a_bundle_holds_what_the_checkpoint_holds(tmp_path: Path) -> None:
    tower = QueryTower(3, {ContextValue("hour", "7"): np.array([1, 2, 3], np.float32)})
    checkpoint = loaded(dataclasses.replace(a_draft(4), query_tower=tower), tmp_path)
    bundle = read_bundle(bundled(checkpoint), TRUSTED)
    manifest = checkpoint.manifest
    assert bundle.facts.checkpoint_id == manifest.checkpoint_id
    assert (bundle.facts.fold_in, bundle.facts.blend) == (manifest.fold_in, manifest.blend)
    assert bundle.facts.catalogues == manifest.catalogues
    assert bundle.vocabulary == checkpoint.vocabulary
    assert bundle.titles == ("Ein Titel", "", "", "東京物語\n(1953)", "", "")
    assert (bundle.item_gram == checkpoint.item_gram).all()
    assert (bundle.item_counts == checkpoint.item_counts).all()  # whole numbers below 256 lose nothing
    assert bundle.item_item is not None
    assert checkpoint.item_item is not None
    assert bundle.item_item.rows.tolist() == checkpoint.item_item.rows.tolist()
    assert np.abs(bundle.item_item.weights - checkpoint.item_item.weights).max() < 0.02
    assert bundle.query_tower is not None
    assert bundle.query_tower.query(np.zeros(3, np.float32), {"hour": "7"}).tolist() == [1, 2, 3]


def test_a_bundle_is_the_same_bytes_each_time_and_named_by_its_content(tmp_path: Path) -> None:
    checkpoint = loaded(a_draft(4), tmp_path)
    first, again = bundled(checkpoint), bundled(checkpoint)
    assert first == again
    ids = [read_bundle(content, TRUSTED).bundle_id for content in (first, bundled(checkpoint, {}))]
    assert len(set(ids)) == 2


def test_items_that_are_left_out_are_in_no_catalogue_and_no_weight(tmp_path: Path) -> None:
    checkpoint = loaded(a_draft(4), tmp_path)
    bundle = read_bundle(bundled(checkpoint, leave_out=frozenset({"item 1", "item 5", "no such"})), TRUSTED)
    assert bundle.vocabulary.item_ids == ("item 0", "item 2", "item 3", "item 4")
    assert bundle.facts.catalogues == {"films": ((0, 3),), "books": ((3, 4),)}
    assert bundle.titles == ("Ein Titel", "", "東京物語\n(1953)", "")
    assert bundle.item_item is not None
    assert bundle.item_item.rows.tolist() == [3]
    everything = frozenset(checkpoint.vocabulary.item_ids)
    with pytest.raises(BadInput, match="all 6 are left out"):
        bundled(checkpoint, leave_out=everything)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"blend": BlendSettings(0.5, people=200, discount=0.1)},
        {
            "item_item": ItemItem(
                np.arange(40, dtype=np.int32), np.random.default_rng(0).normal(size=(40, 40)).astype("f4")
            )
        },
    ],
    ids=["own", "blended", "item-item"],
)
def test_the_twenty_best_are_those_of_the_exact_vectors(tmp_path: Path, changes: dict[str, object]) -> None:
    checkpoint = loaded(low_rank(**changes), tmp_path)
    bundle = read_bundle(bundled(checkpoint), TRUSTED)
    shared = []
    for length in (5, 20):
        for met in histories(checkpoint, 60, length):
            exact = exact_scores(checkpoint, met)
            found = rank(bundle, met, 20)
            assert not set(found.rows.tolist()) & set(met.tolist())
            assert (np.diff(found.scores) <= 0).all()
            shared.append(len(set(np.argsort(-exact)[:20].tolist()) & set(found.rows.tolist())) / 20)
            assert np.abs(found.scores - exact[found.rows]).max() < 0.01 * np.abs(exact[found.rows]).max()
    assert np.mean(shared) >= 0.99


def test_a_score_is_at_most_half_a_step_times_the_sum_of_the_query_away(tmp_path: Path) -> None:
    checkpoint = loaded(low_rank(300, 16), tmp_path)
    bundle = read_bundle(bundled(checkpoint), TRUSTED)
    met = np.array([3, 50, 200], np.int32)
    query = folded_in(bundle, met)
    found = rank(bundle, met, 297)
    exact = checkpoint.item_vectors.astype(np.float64) @ query
    steps = 2.0 ** (bundle.vectors.quarters[found.rows] / 4)
    bound = steps / 2 * np.abs(query).sum()
    assert (np.abs(found.scores - exact[found.rows]) <= bound * 1.001 + 1e-6).all()


def test_what_a_person_hid_is_in_no_list_and_nobody_is_folded_in_from_it(tmp_path: Path) -> None:
    bundle = read_bundle(bundled(loaded(low_rank(300, 16), tmp_path)), TRUSTED)
    met = np.array([3, 50], np.int32)
    every = rank(bundle, met, 10)
    hidden = every.rows[[0, 4]]
    left = rank(bundle, met, 8, hidden_rows=hidden)
    assert left.rows.tolist() == [row for row in every.rows.tolist() if row not in hidden]
    assert left.scores.tolist() == every.scores[[1, 2, 3, 5, 6, 7, 8, 9]].tolist()
    assert len(rank(bundle, met, 300, hidden_rows=np.append(hidden, met[0])).rows) == 296
    with pytest.raises(BadInput, match="rows from 0 to 299"):
        rank(bundle, met, 8, hidden_rows=np.array([300], np.int32))


def test_an_embedding_that_was_kept_ranks_as_the_history_does_and_by_its_own_checkpoint_alone(tmp_path: Path) -> None:
    bundle = read_bundle(bundled(loaded(low_rank(300, 16), tmp_path)), TRUSTED)
    met, own = np.array([3, 50], np.int32), bundle.facts.checkpoint_id
    kept = UserEmbedding(folded_in(bundle, met), own)
    assert rank(bundle, met, 9, embedding=kept).scores.tolist() == rank(bundle, met, 9).scores.tolist()
    other = UserEmbedding(-kept.vector, own)
    assert (
        rank(bundle, met, 1, embedding=other).rows.tolist() == rank(bundle, met, 298, embedding=kept).rows[-1:].tolist()
    )
    with pytest.raises(CheckpointMismatch, match=f"another-one cannot meet the items of {own}"):
        rank(bundle, met, 9, embedding=UserEmbedding(kept.vector, "another-one"))
    with pytest.raises(BadInput, match="have 16 numbers; the user embedding has 3"):
        rank(bundle, met, 9, embedding=UserEmbedding(np.ones(3, np.float32), own))


def test_context_moves_the_query_on_a_device_too(tmp_path: Path) -> None:
    draft = low_rank(300, 16)
    tower = QueryTower(16, {ContextValue("hour", "7"): 10 * draft.item_vectors[123]})
    bundle = read_bundle(bundled(loaded(dataclasses.replace(draft, query_tower=tower), tmp_path)), TRUSTED)
    met = np.array([3, 50], np.int32)
    expected = bundle.vectors.rows(np.arange(300, dtype=np.int32)) @ (
        folded_in(bundle, met) + 10 * draft.item_vectors[123]
    )
    expected[met] = -np.inf
    assert rank(bundle, met, 5, {"hour": "7"}).rows.tolist() == np.argsort(-expected)[:5].tolist()
    assert rank(bundle, met, 5).rows.tolist() != np.argsort(-expected)[:5].tolist()


def test_who_has_met_nothing_gets_what_is_popular_and_who_has_met_everything_nothing(tmp_path: Path) -> None:
    checkpoint = loaded(low_rank(300, 16), tmp_path)
    bundle = read_bundle(bundled(checkpoint), TRUSTED)
    none = np.empty(0, np.int32)
    assert rank(bundle, none, 3).rows.tolist() == np.argsort(-checkpoint.item_counts, kind="stable")[:3].tolist()
    assert len(rank(bundle, none, 1000).rows) == 300
    assert len(rank(bundle, np.arange(300, dtype=np.int32), 5).rows) == 0
    for rows, k in (([300], 5), ([-1], 5), ([1], 0)):
        with pytest.raises(BadInput, match="ranking takes k >= 1 and rows from 0 to 299"):
            rank(bundle, np.array(rows, np.int32), k)


def test_of_equal_scores_the_lower_row_is_first(tmp_path: Path) -> None:
    draft = a_draft(1)
    alike = dataclasses.replace(draft, item_vectors=np.ones((6, 3), np.float32), item_item=None)
    bundle = read_bundle(bundled(loaded(alike, tmp_path)), TRUSTED)
    level = dataclasses.replace(bundle, item_counts=np.ones(6, np.float32))
    assert rank(level, np.array([2], np.int32), 3).rows.tolist() == [0, 1, 3]


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return bundled(loaded(a_draft(4), tmp_path))


def test_no_byte_of_a_bundle_can_be_changed_or_left_out(content: bytes) -> None:
    """Each byte in turn is changed; the file is cut at each length; each time the error is one of ours."""
    whole = read_bundle(content, TRUSTED).sealed.sections
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises((CorruptBundle, UntrustedCheckpoint)):
            read_bundle(bytes(flipped), TRUSTED)
        with pytest.raises((CorruptBundle, UntrustedCheckpoint)):
            read_bundle(content[:position], TRUSTED)
    with pytest.raises(CorruptBundle, match="goes on for 1 bytes after its last section"):
        read_bundle(content + b"\0", TRUSTED)
    assert read_bundle(content, TRUSTED).sealed.sections == whole


@given(st.binary(max_size=300))
def test_what_is_no_bundle_is_an_error_of_ours(content: bytes) -> None:
    for start in (b"", b"HEARTHIB\x02\0\0\0"):
        with pytest.raises((CorruptBundle, UntrustedCheckpoint)):
            read_bundle(start + content, TRUSTED)


def test_a_bundle_needs_the_signature_of_a_trusted_key(content: bytes) -> None:
    stranger = SigningKey.generate()
    with pytest.raises(UntrustedCheckpoint, match=f"key {KEY.public.key_id}, which is not trusted"):
        read_bundle(content, TrustedKeys([stranger.public]))
    opened = open_sealed(content, b"HEARTHIB", TRUSTED, "it")
    theirs = seal(b"HEARTHIB", opened.facts, opened.sections, stranger).to_bytes()
    forged = theirs[:12] + content[12:20] + theirs[20:]  # the name of our key over their signature
    with pytest.raises(UntrustedCheckpoint, match="not over its bytes"):
        read_bundle(forged, TRUSTED)
    with pytest.raises(CorruptBundle, match="begins with b'HEARTHIB'; what is asked for here begins with b'HEARTHID'"):
        open_sealed(content, b"HEARTHID", TRUSTED, "it")


def test_a_section_is_stored_in_the_smallest_of_three_ways() -> None:
    """Numbers without repeats, texts with them, and what nothing makes smaller; all come back."""
    rng = np.random.default_rng(0)
    numbers = np.rint(rng.normal(scale=5, size=100_000)).astype(np.int8).tobytes()
    contents = {"numbers": numbers, "texts": b"The same again. " * 1000, "random": rng.bytes(50_000)}
    sizes = {name: len(seal(b"HEARTHIB", {}, {name: content}, KEY).to_bytes()) for name, content in contents.items()}
    assert sizes["numbers"] < 0.95 * len(zlib.compress(numbers, 9))
    assert sizes["texts"] < 400
    assert sizes["random"] > 50_000
    sealed = seal(b"HEARTHIB", {}, contents, KEY).to_bytes()
    assert open_sealed(sealed, b"HEARTHIB", TRUSTED, "it").sections == contents


def test_no_more_is_decompressed_than_was_signed_for() -> None:
    """A gigabyte of nothing in a megabyte, in the place of 100,000 bytes."""
    sealed = seal(b"HEARTHIB", {}, {"titles": bytes(100_000)}, KEY)
    bomb = zlib.compress(bytes(1 << 26), 9)
    forged = sealed.to_bytes()[: 88 + len(sealed.table)] + struct.pack("<BI", 1, len(bomb)) + bomb
    with pytest.raises(CorruptBundle, match="does not end where its compressed bytes do"):
        open_sealed(forged, b"HEARTHIB", TRUSTED, "it")
    huge = struct.pack("<8sI8s64sI", b"HEARTHIB", 2, bytes(8), bytes(64), 0xFFFFFFFF)
    with pytest.raises(CorruptBundle, match="says that its table has 4294967295"):
        open_sealed(huge, b"HEARTHIB", TRUSTED, "it")


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("item_ids", b'["a","b"]'),
        ("item_ids", b'["a","a","b","c","d","e"]'),
        ("titles", b"[]"),
        ("titles", b"{"),
        ("coarse", bytes(17)),
        ("fine", bytes(7)),
        ("steps", np.full(6, 481, np.int16).tobytes()),
        ("steps", np.full(6, -481, np.int16).tobytes()),
        ("counts", np.full(6, 0x7F80, np.uint16).tobytes()),
        ("gram", bytes(8)),
        ("item_item_rows", np.array([4, 9], np.int32).tobytes()),
        ("item_item_scales", None),
        ("coarse", None),
    ],
)
def test_a_signed_file_that_is_no_bundle_is_refused(content: bytes, name: str, section: bytes | None) -> None:
    opened = open_sealed(content, b"HEARTHIB", TRUSTED, "it")
    sections = {key: value for key, value in opened.sections.items() if key != name}
    if section is not None:
        sections[name] = section
    with pytest.raises(CorruptBundle, match="does not hold what its format asks for"):
        read_bundle(seal(b"HEARTHIB", opened.facts, sections, KEY).to_bytes(), TRUSTED)


def test_large_item_item_weights_stay_at_home(tmp_path: Path) -> None:
    rows = np.arange(1025, dtype=np.int32)
    weights = ItemItem(rows, np.ones((1025, 1025), np.float32))
    checkpoint = loaded(low_rank(1100, 4, item_item=weights), tmp_path)
    bundle: ItemBundle = read_bundle(bundled(checkpoint), TRUSTED)
    assert bundle.item_item is None
    assert len(bundled(checkpoint)) < 100_000
