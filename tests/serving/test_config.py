"""The configuration of a server."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from feature_store.errors import BadInput
from serving.config import ServingConfig
from serving.metrics import create_metrics
from serving.settings_files import read_files

NEEDED: dict[str, Any] = {"registry": "models", "trusted_keys": ["training.pem"]}


def test_a_file_needs_to_name_the_registry_and_a_key_alone() -> None:
    config = ServingConfig.model_validate_json('{"registry": "models", "trusted_keys": ["training.pem"]}')
    assert (config.registry, config.trusted_keys) == (Path("models"), (Path("training.pem"),))
    assert list(config.placements) == ["home"]
    assert config.store is None


def test_what_was_written_is_what_is_read() -> None:
    config = ServingConfig(**NEEDED, placements={"start": {"vertical": "news"}}, store="local.sqlite", port=0)
    assert ServingConfig.model_validate_json(config.model_dump_json()) == config


def test_a_registry_is_a_folder_or_a_url() -> None:
    config = ServingConfig.model_validate_json('{"registry": "s3://bucket/models", "trusted_keys": ["training.pem"]}')
    assert config.registry == "s3://bucket/models"
    assert ServingConfig(**NEEDED | {"registry": Path("models")}).registry == Path("models")


def test_a_password_in_the_url_of_a_redis_is_refused_and_not_shown() -> None:
    with pytest.raises(ValidationError, match="has no user or password in it") as refused:
        ServingConfig(**NEEDED, redis={"url": "redis://:hidden@cell.example"})
    assert "hidden" not in str(refused.value)


def test_a_store_is_in_a_file_or_in_a_redis_and_not_in_both() -> None:
    with pytest.raises(ValidationError, match="store and redis are two places for the same"):
        ServingConfig(**NEEDED, store="local.sqlite", redis={"url": "redis://cell.example"})


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_key_is_named(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        ServingConfig(**{key: value for key, value in NEEDED.items() if key != missing})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("registri", "models"),
        ("trusted_keys", []),
        ("port", 65536),
        ("watch_seconds", 0),
        ("placements", {}),
        ("placements", {"Home page": {"vertical": "news"}}),
        ("placements", {"home\n": {"vertical": "news"}}),
        ("placements", {"home": {"vertical": "news", "colour": "red"}}),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        ServingConfig(**NEEDED | {key: value})


def test_an_experiment_is_about_placements_of_one_tenant(tmp_path: Path) -> None:
    """An arm that another tenant's placement answers would show their items, or silently be no arm at all."""
    placements = {"home": {"tenant": "a"}, "new": {"tenant": "a"}, "theirs": {"tenant": "b"}, "nobodys": {}}
    file = tmp_path / "placements.json"
    file.write_text(json.dumps(placements))

    def config(arm: str, **shown: Any) -> ServingConfig:
        arms = {"old": {"share": 0.5}, "new": {"share": 0.5, "placement": arm}}
        return ServingConfig(**NEEDED, **shown, experiments={"test": {"placement": "home", "arms": arms}})

    assert config("new", placements=placements).experiments["test"].arms["new"].placement == "new"
    assert set(read_files(config("new", placements_file=file), create_metrics()).placements()) == set(placements)
    for arm in ("theirs", "nobodys"):
        told = f"experiment 'test' names placements 'home' and '{arm}', of different tenants"
        with pytest.raises(ValidationError, match=told):
            config(arm, placements=placements)
        with pytest.raises(BadInput, match=told):
            read_files(config(arm, placements_file=file), create_metrics())
