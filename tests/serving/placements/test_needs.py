"""Placements that need what a server has not are refused, when it starts and when their file changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from feature_store.durable import replace
from feature_store.errors import BadInput
from serving.config import ServingConfig
from serving.metrics import create_metrics
from serving.settings_files import read_files
from tests.serving.published import Publisher, draft
from tests.serving.running import config_of, started, until

ADS = {"vertical": "ads", "ads": {"currency": "EUR"}}
CATALOGUE = "there is no catalogue: name items or items_redis"


def configured(placement: Mapping[str, Any], **places: str) -> ServingConfig:
    return ServingConfig(registry="models", trusted_keys=["training.pem"], placements={"shelf": placement}, **places)


@pytest.mark.parametrize(
    ("placement", "missing"),
    [
        ({"respects_graph": True}, "asks the social graph, and there is none: name social_graph"),
        ({"sources": [{"kind": "graph"}]}, "asks the social graph, and there is none: name social_graph"),
        (ADS, f"has ads, and {CATALOGUE}"),
        ({"where": {"brand": ["acme"]}}, f"has field 'brand' in where, and {CATALOGUE}"),
        ({"repeats": {"show": {"categories": ["tea"]}}}, f"has field 'categories' in repeats.show, and {CATALOGUE}"),
        ({"repeats": {"hide": {"categories": ["tea"]}}}, f"has field 'categories' in repeats.hide, and {CATALOGUE}"),
        (
            {"rules": [{"when": {"item_id": ["a"]}, "then": "hide"}, {"when": {"price": {"max": 1}}, "then": "hide"}]},
            f"has field 'price' in rule 2, and {CATALOGUE}",
        ),
        ({"caps": [{"field": "topic", "most": 3}]}, f"has a cap on 'topic', and {CATALOGUE}"),
        ({"half_life_hours": 6.0}, f"has half_life_hours, from when an item appeared, and {CATALOGUE}"),
        ({"sources": [{"kind": "fresh"}]}, f"in the model, and {CATALOGUE}"),
        ({"sources": [{"kind": "new_authors"}]}, f"of posts by their author, and {CATALOGUE}"),
    ],
)
def test_what_a_placement_needs_and_is_not_there_is_named_with_the_placement(
    placement: Mapping[str, Any], missing: str
) -> None:
    placed = {"vertical": "films", **placement}
    with pytest.raises(ValidationError) as refused:
        configured(placed)
    assert "placement 'shelf' " in str(refused.value)
    assert missing in str(refused.value)
    everything = {"store": "s", "social_graph": "g", "items": "i", "ad_counters": "a"}
    assert configured(placed, **everything).placements["shelf"].vertical == placed["vertical"]


def test_the_graph_by_authors_wants_a_catalogue_too() -> None:
    with pytest.raises(
        ValidationError, match="'shelf' has respects_graph, by the author of each post, and there is no"
    ):
        configured({"vertical": "films", "respects_graph": True}, store="s", social_graph="g")


def test_counters_of_ads_last_as_long_as_what_is_kept_of_people() -> None:
    with pytest.raises(ValidationError, match=r"'shelf' shows ads, .*: name ad_counters"):
        configured(ADS, items="i", store="s")
    for places in ({}, {"store": "s", "ad_counters": "a"}, {"redis": {"url": "redis://cell.example"}}):
        assert configured(ADS, items="i", **places).placements["shelf"].ads is not None


def test_what_a_catalogue_says_is_said_of_a_vertical() -> None:
    with pytest.raises(ValidationError, match="'shelf' has a cap on 'topic', and shows no vertical"):
        configured({"caps": [{"field": "topic", "most": 3}]}, items="i")


def test_a_placement_by_ids_and_what_people_met_needs_nothing() -> None:
    hidden = {"when": {"item_id": ["a"]}, "then": "hide"}
    sources = [{"kind": "personal"}, {"kind": "similar"}, {"kind": "popular"}, {"kind": "pinned", "items": ["b"]}]
    placement = {"rules": [hidden], "where": {"item_id": ["b"]}, "sources": sources, "diversity": {}}
    assert configured(placement).placements["shelf"].rules[0].then == "hide"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[feed]\nsources = [{kind = "graph"}]\n', "placement 'feed' asks the social graph"),
        (
            '[banner]\nvertical = "ads"\nads = {currency = "EUR"}\n',
            "placement 'banner' has ads, and there is no catalogue",
        ),
        ('[shelf]\nvertical = "films"\nwhere = {brand = ["acme"]}\n', "placement 'shelf' has field 'brand' in where"),
    ],
    ids=["graph", "ads", "catalogue"],
)
def test_a_server_does_not_start_on_a_file_with_such_a_placement(
    publisher: Publisher, tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "placements.toml"
    file.write_text(content)
    with pytest.raises(BadInput) as refused:
        read_files(config_of(publisher, placements_file=file), create_metrics())
    assert said in str(refused.value)
    assert "placements.toml" in str(refused.value)


def test_a_file_that_brings_such_a_placement_leaves_the_old_ones_in_force(publisher: Publisher, tmp_path: Path) -> None:
    file, model_id = tmp_path / "placements.toml", publisher.publish(draft(1))
    replace(file, b"[home]\n")
    with started(config_of(publisher, placements_file=file), tmp_path) as server:
        server.serves(model_id)
        replace(file, b'[home]\n[shelf]\nvertical = "films"\ncaps = [{field = "topic", most = 1}]\n')
        said = server.logged("file not used; what it held before stays")[0]
        assert "placement 'shelf' has a cap on 'topic', and there is no catalogue" in said["detail"]
        assert [server.recommend(name).status_code for name in ("home", "shelf")] == [200, 404]
        stale = {"status": "stale", "reason": "BadInput"}
        until(lambda: server.client.get("/readyz").json()["checks"]["placements"] == stale, server.log)
        replace(file, b'[home]\n[shelf]\nvertical = "films"\n')
        until(lambda: server.recommend("shelf").status_code == 200, server.log)
