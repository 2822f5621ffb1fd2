"""The item bundle at its full size, and on a model that was really trained: what docs/item-bundle.md says of it."""

import gzip
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from feature_store.item_bundle import make_bundle, read_bundle
from feature_store.item_bundle_rank import rank
from feature_store.registry import Registry
from feature_store.signing import TrustedKeys
from feature_store.vocabulary import ItemVocabulary
from tests.feature_store.test_item_bundle import KEY, TRUSTED, exact_scores, loaded, low_rank
from tests.hearth.command import Command

DATA = os.environ.get("HEARTH_DATA")


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="HEARTH_DATA names no folder of data sets")
def test_a_trained_model_has_its_twenty_best_on_a_device_too(tmp_path: Path) -> None:
    split = Path(str(DATA)) / "split_ml1m"
    command = Command(tmp_path)
    folder = tmp_path / "registry"
    settings = ("--rounds", "10", "--patience", "0", "--dim", "64", "--promote", "--json")
    command.run("train", "--interactions", split, "--registry", folder, *settings).json()
    registry: Registry = command.registry(folder)
    checkpoint = registry.load(registry.production())
    bundle = read_bundle(make_bundle(checkpoint, {}, KEY).to_bytes(), TRUSTED)
    histories: dict[str, list[str]] = defaultdict(list)
    with gzip.open(split / "train.txt.gz", "rt") as lines:
        for line in lines:
            person, *items = line.split()
            histories[person] += items
    shared = []
    for items in list(histories.values())[:1500]:
        met = checkpoint.vocabulary.known_rows(items)
        exact = np.argsort(-exact_scores(checkpoint, met), kind="stable")[:20]
        shared.append(len({*exact.tolist()} & {*rank(bundle, met, 20).rows.tolist()}) / 20)
    assert np.mean(shared) >= 0.997


@pytest.mark.slow
def test_of_a_hundred_thousand_random_items_the_twenty_best_are_as_good_as_the_same(tmp_path: Path) -> None:
    """The hardest there is: vectors without any structure, of which many lie close to the twentieth place."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(100_000, 64)).astype(np.float32)
    checkpoint = loaded(low_rank(100_000, 64, item_vectors=vectors), tmp_path)
    bundle = read_bundle(make_bundle(checkpoint, {}, KEY).to_bytes(), TRUSTED)
    shared = []
    for taste in rng.normal(size=(400, 64)).astype(np.float32):
        noisy = vectors @ taste + 8 * rng.normal(size=100_000)
        met = np.sort(np.argpartition(-noisy, 30)[:30]).astype(np.int32)
        scores = vectors @ checkpoint.fold_in(met).vector
        scores[met] = -np.inf
        exact = np.argpartition(-scores, 20)[:20]
        shared.append(len({*exact.tolist()} & {*rank(bundle, met, 20).rows.tolist()}) / 20)
    assert np.mean(shared) >= 0.99


@pytest.mark.slow
def test_a_hundred_thousand_items_of_64_numbers_with_ids_and_titles_are_below_ten_megabytes(tmp_path: Path) -> None:
    """Ids of ten characters; titles of 32 bytes on average, of words as often as Zipf has them."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlucmfwypvbgk"), size=rng.integers(2, 9))) for _ in range(20_000)]
    frequency = 1 / np.arange(1, len(words) + 1)
    chosen = rng.choice(words, size=(100_000, 8), p=frequency / frequency.sum())
    lengths = rng.integers(3, 9, size=100_000)
    item_ids = [f"B{n:09X}" for n in rng.permutation(1 << 24)[:100_000].astype(np.int64) * 4099]
    titles = {i: " ".join(row[:n]).title() for i, row, n in zip(item_ids, chosen, lengths, strict=True)}
    checkpoint = loaded(low_rank(100_000, 64, vocabulary=ItemVocabulary(item_ids)), tmp_path)
    sealed = make_bundle(checkpoint, titles, KEY)
    content = sealed.to_bytes()
    assert np.mean([len(title) for title in titles.values()]) > 30
    assert len(content) < 9_000_000
    assert read_bundle(content, TrustedKeys([KEY.public])).titles == tuple(titles.values())
