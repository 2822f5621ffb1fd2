"""What a server says where its start takes long."""

import json
import threading
import time
from pathlib import Path

import pytest

from serving.first_start import said_why
from tests.serving import running as servers
from tests.serving.published import Publisher


def test_a_start_that_takes_long_says_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "serving.server")
    with said_why(0.02):
        ends = time.monotonic() + 10.0
        while not caplog.records and time.monotonic() < ends:
            time.sleep(0.01)
    [record] = caplog.records
    assert record.getMessage() == "still starting"
    assert "compiles" in record.__dict__["fields"]["reason"]


def test_a_start_that_does_not_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "serving.server")
    before = threading.active_count()
    with said_why(0.05):
        assert threading.active_count() == before + 1
    time.sleep(0.1)
    assert caplog.records == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_first_start_says_that_it_compiles_before_it_listens(
    workers: int, publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setattr(servers, "PATIENCE", 300.0)
    config = servers.config_of(publisher, store=tmp_path / "people.sqlite", workers=workers)
    with servers.running(config, tmp_path, is_fresh=True) as server:
        said = [json.loads(line)["message"] for line in server.log().splitlines()]
        assert (said[0], said.count("still starting")) == ("still starting", 1)
        assert server.stop() == 0
