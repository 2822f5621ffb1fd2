"""What tests of serving begin with: a server for all that leave it as it is, an empty registry, an empty Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_store.checkpoint import CheckpointDraft
from tests.redis_server import RedisServer, running_redis
from tests.serving.published import Publisher, draft
from tests.serving.running import Server, config_of, started

CONTENT = draft(1)


@pytest.fixture(scope="session")
def content() -> CheckpointDraft:
    """What the shared server's checkpoint was made from."""
    return CONTENT


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an SQLite file; each test has people of its own."""
    folder = tmp_path_factory.mktemp("server")
    publisher = Publisher(folder)
    model_id = publisher.publish(CONTENT)
    limits = {"max_k": 80, "max_ids": 100, "max_events": 50, "max_body_bytes": 20_000}
    with started(config_of(publisher, store=folder / "store.sqlite", **limits), folder) as server:
        server.serves(model_id)
        yield server


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """An empty registry."""
    return Publisher(tmp_path)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """An empty one, which has on disk whatever it has acknowledged."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server
