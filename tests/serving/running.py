"""Servers that really run: a process of its own, or a thread of the test's."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from feature_store.encryption import own_keys
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores
from serving.config import ServingConfig
from tests.serving.forked_servers import ForkedServer
from tests.serving.published import Publisher

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds; far above what anything here takes on an idle machine


class Server:
    """A server in a process of its own, as its clients and its operators see it."""

    def __init__(self, process: "subprocess.Popen[bytes] | ForkedServer", log: Path) -> None:
        self.process, self._log = process, log
        address = self.logged("listening")[0]["address"]
        self.client = httpx.Client(base_url=address, timeout=PATIENCE)

    def recommend(self, placement: str = "home", **body: object) -> httpx.Response:
        return self.client.post(f"/v1/placements/{placement}:recommend", json=body)

    def ask(self, **body: object) -> Any:
        """The reply of a request that must succeed."""
        response = self.recommend(**body)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, *events: object) -> httpx.Response:
        return self.client.post("/v1/events", json={"events": list(events)})

    def metric(self, sample: str) -> float:
        """The value of one sample, named with its labels as Prometheus reads it; 0 where there is none."""
        lines = (line.rpartition(" ") for line in self.client.get("/metrics").text.splitlines())
        return next((float(value) for name, _, value in lines if name == sample), 0.0)

    def log(self) -> str:
        return self._log.read_text()

    def logged(self, message: str, count: int = 1) -> list[Any]:
        """The log lines of that message, as soon as there are so many."""

        def lines() -> list[Any]:
            whole = self.log().rpartition("\n")[0].splitlines()
            return [line for line in map(json.loads, whole) if line["message"] == message]

        return until(lambda: found if len(found := lines()) >= count else None, self.log)

    def model_id(self) -> str | None:
        found: str | None = self.client.get("/version").json()["model_id"]
        return found

    def serves(self, model_id: str) -> None:
        """Return when that model answers."""
        until(lambda: self.model_id() == model_id, lambda: f"{self.model_id()} answers, not {model_id}; {self.log()}")

    def stop(self) -> int:
        """Tell it to stop as an orchestrator does, and say how it ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def until(condition: Any, otherwise: Any) -> Any:
    """The first true value of the condition."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE} s in vain: {otherwise()}")


def config_of(publisher: Publisher, **changes: Any) -> ServingConfig:
    """A configuration for tests: a free port, and a watch that does not keep them waiting.

    A machine that has other things to do lets requests wait: they are turned away where a test is about that alone.
    """
    settings: dict[str, Any] = {
        "registry": publisher.folder,
        "trusted_keys": (publisher.public_key,),
        "port": 0,
        "watch_seconds": 0.05,
        "queue_seconds": 60.0,
    }
    if "store" in changes:
        settings["store_keys"] = keys_file(changes["store"])
        own_keys(settings["store_keys"])  # makes it
    return ServingConfig(**settings | changes)


def keys_file(store: Path) -> Path:
    """Where the keys of a test's store are."""
    return store.with_name("store.keys")


def opened(store: Path) -> AbstractAsyncContextManager[LocalStores]:
    """The store of a server that was made with `config_of`."""
    return open_sqlite(store, own_keys(keys_file(store)))


@contextmanager
def started(config: ServingConfig, folder: Path) -> Iterator[Server]:
    """A server that listens; it must end well when told to."""
    with running(config, folder) as server:
        yield server
        assert server.stop() == 0, server.log()


@contextmanager
def running(
    config: ServingConfig, folder: Path, open_files: int | None = None, *, is_fresh: bool = False
) -> Iterator[Server]:
    """A server that listens, and is gone afterwards whatever happens.

    open_files: how many it may have open; None: as many as this process.
    is_fresh: as `python -m serving`; without it forked, which is over a second faster.
    """
    file, log = folder / "serving.json", folder / "serving.log"
    file.write_text(config.model_dump_json())
    with _process(file, log) if is_fresh else ForkedServer(file, log, open_files) as process:
        try:
            server = Server(process, log)
            with server.client:
                yield server
        finally:
            process.kill()


def _process(file: Path, log: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-W", "error", "-m", "serving", str(file)]
    with log.open("wb") as written:
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=written)
