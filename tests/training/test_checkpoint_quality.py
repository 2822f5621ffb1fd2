"""A published checkpoint is as good as the state it was made from."""

from pathlib import Path

import numpy as np
import pytest

from feature_store.registry import Registry
from feature_store.row_ranges import one_catalogue
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary
from tests.training.worlds import checkerboard
from training.checkpoint_quality import checkpoint_quality
from training.histories import Histories
from training.run import prepare
from training.settings import TrainingSettings
from training.split import Split


def shuffled(split: Split, unknown: int) -> Split:
    """The same split with its items in another order, and new items before them, the first of which all have met."""
    order = np.random.default_rng(0).permutation(len(split.vocabulary))
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32) + unknown
    ids = [f"new-{n}" for n in range(unknown)] + [split.vocabulary.item_ids[row] for row in order]
    train, valid, test = (Histories(place[part.rows], part.offsets) for part in (split.train, split.valid, split.test))
    train = Histories.of([[0, *rows] for rows in train])
    return Split(ItemVocabulary(ids), split.user_ids, train, valid, test)


def test_quality_is_that_of_the_state_whatever_the_order_of_the_items(tmp_path: Path) -> None:
    split = checkerboard()
    run = prepare(split, TrainingSettings(dim=8, cohort=20, rounds=3, patience=0))
    *_, (state, _) = run.rounds(run.start())
    key = SigningKey.generate()
    registry = Registry(tmp_path, TrustedKeys([key.public]))
    manifest = registry.publish(run.draft(state, one_catalogue("e-commerce", 40)), key)
    checkpoint = registry.load(manifest.checkpoint_id)
    expected = run.test(state)

    assert manifest.metrics == pytest.approx(run.validation(state).figures())
    assert checkpoint_quality(checkpoint, split).figures() == pytest.approx(expected.figures())
    other = checkpoint_quality(checkpoint, shuffled(split, unknown=5))
    assert other.recall == pytest.approx(expected.recall)
    assert other.ndcg == pytest.approx(expected.ndcg)
    assert other.coverage == pytest.approx(expected.coverage * 40 / 45)
    np.testing.assert_allclose(checkpoint.item_counts, state.statistics["item_counts"])
