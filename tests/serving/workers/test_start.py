"""What a parent tells its workers, and what it needs itself."""

import json
import subprocess
import sys
from pathlib import Path

from pydantic import SecretStr

from feature_store.redis_settings import RedisSettings
from serving.config import ServingConfig
from serving.workers.start import Start
from tests.serving.running import PATIENCE, ROOT

FOREIGN = ("numba", "scipy", "fastapi", "uvicorn", "tensorflow")


def test_a_worker_is_told_all_that_is_configured_passwords_too(tmp_path: Path) -> None:
    redis = RedisSettings(url="redis://cell:6379", username="cell", password=SecretStr("water"))
    config = ServingConfig(
        registry="s3://models/one", trusted_keys=(Path("a.pub"),), redis=redis, items_redis=redis, workers=3
    )
    for private in (None, tmp_path):
        start = Start(config, 2, private)
        assert Start.read(start.written()) == start
    found = Start.read(Start(config, 0).written()).config.redis
    assert found is not None
    assert found.password is not None
    assert found.password.get_secret_value() == "water"


def test_a_parent_loads_nothing_that_answers_or_computes() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import serving.workers.parent, sys, json; print(json.dumps(sorted(sys.modules)))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    modules = json.loads(found.stdout)
    assert "serving.config" in modules
    assert [name for name in modules if name.partition(".")[0] in FOREIGN] == []
