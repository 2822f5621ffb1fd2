"""A Redis that is away when a server starts, or goes while it is under load: nobody is left without a reply."""

import threading
import time
from pathlib import Path
from typing import Any, Self

import httpx

from feature_store.encryption import own_keys
from feature_store.redis_settings import RedisSettings
from serving.config import ServingConfig
from tests.redis_server import RedisServer
from tests.serving.published import Publisher, draft, personal, popular
from tests.serving.running import PATIENCE, Server, config_of, started, until

SEEN = ["item-2", "item-6"]
DEGRADED = ["store-unavailable"]


def of_cell(publisher: Publisher, server: RedisServer, folder: Path) -> ServingConfig:
    own_keys(folder / "cell.keys")
    return config_of(publisher, redis=RedisSettings(url=server.url), store_keys=folder / "cell.keys")


def views() -> list[dict[str, Any]]:
    return [{"event_id": i, "user_id": "anna", "item_id": i, "event": "view"} for i in SEEN]


def ids_of(reply: Any) -> list[str]:
    return [item["item_id"] for item in reply["items"]]


def store_check(server: Server) -> Any:
    return server.client.get("/readyz").json()["checks"]["store"]


def test_a_server_starts_while_its_redis_is_away_and_knows_people_once_it_is_there(
    publisher: Publisher, redis_server: RedisServer, tmp_path: Path
) -> None:
    config, content = of_cell(publisher, redis_server, tmp_path), draft(1)
    model_id = publisher.publish(content)
    with started(config, tmp_path) as server:
        server.serves(model_id)
        server.post(*views()).raise_for_status()
    redis_server.kill()
    with started(config, tmp_path) as server:
        server.serves(model_id)
        reply = server.ask(user_id="anna")
        assert (reply["meta"]["degraded"], ids_of(reply)) == (DEGRADED, [item_id for item_id, _ in popular(content)])
        assert store_check(server) == {"status": "unavailable"}
        assert server.post(*views()).status_code == 503

        redis_server.start()
        until(lambda: server.ask(user_id="anna")["meta"]["degraded"] == [], server.log)
        assert ids_of(server.ask(user_id="anna")) == [item_id for item_id, _ in personal(content, SEEN)]
        assert store_check(server) == {"status": "ok"}


def test_a_redis_killed_and_started_again_under_load_costs_no_reply_and_is_used_again_within_two_seconds(
    publisher: Publisher, redis_server: RedisServer, tmp_path: Path
) -> None:
    content = draft(1)
    known, anybody = ([item_id for item_id, _ in ranked] for ranked in (personal(content, SEEN), popular(content)))
    model_id = publisher.publish(content)
    with started(of_cell(publisher, redis_server, tmp_path), tmp_path) as server:
        server.serves(model_id)
        server.post(*views()).raise_for_status()
        with Asking(server) as asking:
            asking.for_seconds(0.3)
            redis_server.kill()
            killed = time.monotonic()
            asking.for_seconds(2.0)
            redis_server.start()
            back = time.monotonic()
            asking.for_seconds(2.5)
        replies = asking.replies

    assert asking.failures == []
    assert {status for _, _, status, _ in replies} == {200}
    for began, ended, _, reply in replies:
        assert (ids_of(reply) == anybody) == (reply["meta"]["degraded"] == DEGRADED)
        assert (ids_of(reply) == known) == (reply["meta"]["degraded"] == [])
        if began > killed and ended < back - 0.5:
            assert reply["meta"]["degraded"] == DEGRADED
        if ended < killed or began > back + 2.0:
            assert reply["meta"]["degraded"] == []
    while_away = sorted(ended - began for began, ended, _, _ in replies if killed + 1.5 < began < back - 0.2)
    assert len(while_away) > 5
    assert while_away[len(while_away) // 2] < 0.1  # nobody waits for what is away, but a probe at a time


class Asking:
    """Anna asks without a pause, from several threads; each reply is kept with when it was asked for and came."""

    def __init__(self, server: Server, threads: int = 4) -> None:
        self.replies: list[tuple[float, float, int, Any]] = []
        self.failures: list[Exception] = []
        self._address, self._ended = server.client.base_url, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def for_seconds(self, seconds: float) -> None:
        time.sleep(seconds)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._address, timeout=PATIENCE) as client:
            while not self._ended.is_set():
                began = time.monotonic()
                try:
                    response = client.post("/v1/placements/home:recommend", json={"user_id": "anna"})
                except httpx.HTTPError as failure:
                    self.failures.append(failure)
                    continue
                self.replies.append((began, time.monotonic(), response.status_code, response.json()))
