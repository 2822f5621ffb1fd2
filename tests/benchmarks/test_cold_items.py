"""The benchmark of new items, in a world where the category says all."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cold_items import measure_cold_items
from hearth.sources import read_source
from tests.benchmarks.tastes import two_tastes
from tests.hearth.command import Command
from tests.hearth.world import small_world
from training.item_features import ItemFeatures
from training.settings import TrainingSettings
from training.tower_settings import TowerSettings

CATEGORIES = [("even", "odd")[item % 2 :][:1] for item in range(120)]


def settings(regularization: float) -> TrainingSettings:
    tower = TowerSettings(content_regularization=regularization)
    return TrainingSettings(dim=4, rounds=6, cohort=40, patience=0, tower=tower)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    split = two_tastes(items=120, met=40)
    features = ItemFeatures.of_categories(CATEGORIES)
    candidates = [settings(1e6), settings(1.0)]
    return measure_cold_items(split, CATEGORIES, features, candidates, seeds=[1, 2], least=1, report=lambda _: None)


def test_content_finds_the_new_items_of_a_persons_taste(measured: dict[str, Any]) -> None:
    """About 24 new items, 12 of each taste, and 20 places: a tower that knows tastes finds nearly all."""
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    recall = {who: found["mean"]["recall@20"] for who, found in measured["test"].items()}
    assert recall["tower"] > 0.99
    assert recall["category-popularity"] > 0.99
    assert recall["random"] < 0.95
    assert measured["ratios"]["random"] == pytest.approx(recall["tower"] / recall["random"])
    assert measured["data"]["test_items"] == 24
    assert measured["data"]["valid_items"] == 19


def test_of_the_candidates_the_best_on_validation_items_is_taken(measured: dict[str, Any]) -> None:
    tried = {c["settings"]["tower"]["content_regularization"]: c["valid recall@20"] for c in measured["candidates"]}
    assert tried.keys() == {1e6, 1.0}
    assert measured["settings"]["tower"]["content_regularization"] == max(tried, key=tried.__getitem__)


def test_the_command_shows_a_table_and_refuses_a_world_without_a_catalogue(tmp_path: Path) -> None:
    world = small_world(tmp_path / "world", people=30, items=60, own=20)
    options = ("--seeds", "1", "--dim", "4", "--rounds", "4", "--text-encoder", "none")
    figures = Command(tmp_path).run("bench", "cold-items", "--interactions", world, *options, "--json").json()
    assert figures["features"] == {"category": 2, "numbers": 0, "text": 0}
    assert figures["test"]["tower"]["mean"]["users"] > 20
    (world / "items.csv").unlink()
    refused = Command(tmp_path).run("bench", "cold-items", "--interactions", world, *options)
    assert "has no catalogue; --items names one" in refused.error()


@pytest.mark.slow
@pytest.mark.skipif("HEARTH_DATA" not in os.environ, reason="HEARTH_DATA does not name the folder of the data sets")
def test_new_groceries_are_found_three_times_as_often_as_by_category_popularity() -> None:
    folder = Path(os.environ["HEARTH_DATA"]) / "complete_journey"
    source = read_source(folder, valid=0, test=0, kinds={"manufacturer_id": "category", "title": "category"})
    pairs = [("category", "manufacturer_id"), ("title", "manufacturer_id"), ("title", "package_size")]
    crosses = (*pairs, ("title", "brand"))
    tower = TowerSettings(text_encoder=None, crosses=crosses, content_regularization=20.0)
    settings = TrainingSettings(dim=256, rounds=10, cohort=801, patience=0, tower=tower)
    known = source.catalogue
    assert known is not None
    items = source.split.vocabulary.item_ids
    categories = [known[item_id].categories if item_id in known else () for item_id in items]
    measured = measure_cold_items(
        source.split, categories, source.features(tower), [settings], seeds=[1], least=1, report=lambda _: None
    )
    assert measured["ratios"]["category-popularity"] >= 3
