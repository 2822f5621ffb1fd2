"""A training session with context: the checkpoint that it publishes has the vectors, and each client's bytes count."""

from pathlib import Path

import numpy as np

from feature_store.registry import Registry
from feature_store.row_ranges import one_catalogue
from feature_store.signing import SigningKey, TrustedKeys
from hearth.training_session import train_to_checkpoint
from tests.training.worlds import checkerboard
from training.context_settings import ContextSettings
from training.run import prepare
from training.settings import TrainingSettings


def test_the_published_checkpoint_has_what_the_clients_sums_came_to(tmp_path: Path) -> None:
    split, key = checkerboard(), SigningKey.generate()
    registry = Registry(tmp_path, TrustedKeys([key.public]))
    catalogues = one_catalogue("films", len(split.vocabulary))
    settings = TrainingSettings(dim=4, rounds=1, cohort=30, context=ContextSettings(features=("vertical",)))
    run = prepare(split, settings)

    outcome = train_to_checkpoint(run, registry, key, catalogues=catalogues, show=lambda _: None)

    trained = run.context(outcome.state, catalogues)
    read = registry.load(outcome.manifest.checkpoint_id).query_tower
    assert read is not None
    assert trained is not None
    (value,) = trained.query_tower.vectors
    assert value == ("vertical", "films")
    np.testing.assert_array_equal(read.vectors[value], trained.query_tower.vectors[value])
    assert read.vectors[value].any()
    assert outcome.summary()["uplink_bytes_per_client_once"] == 3 * (4 * (4 + 1 + 1) + 8)
