"""The configuration of a server."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from serving.config import ServingConfig

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
