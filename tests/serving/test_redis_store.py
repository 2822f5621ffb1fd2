"""Servers of a cell that share a Redis: what one is told all know, and a Redis that is away costs nobody a reply."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from feature_store.encryption import own_keys
from feature_store.redis_settings import RedisSettings
from serving.config import ServingConfig
from tests.redis_server import RedisServer
from tests.serving.published import Publisher, draft, personal
from tests.serving.running import Server, config_of, started, until

PASSWORD = "of-the-cell"


def of_cell(publisher: Publisher, server: RedisServer, folder: Path, **settings: Any) -> ServingConfig:
    own_keys(folder / "cell.keys")
    redis = RedisSettings(url=server.url, retries=1, backoff_seconds=0.01, **settings)
    return config_of(publisher, redis=redis, store_keys=folder / "cell.keys")


def servers(config: ServingConfig, folder: Path, running: ExitStack, model_id: str) -> list[Server]:
    found = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        found.append(running.enter_context(started(config, folder / name)))
        found[-1].serves(model_id)
    return found


def view(item: int, event: str = "view") -> dict[str, Any]:
    return {"event_id": f"{event}-{item}", "user_id": "anna", "item_id": f"item-{item}", "event": event}


def items_of(reply: Any) -> list[str]:
    return [item["item_id"] for item in reply["items"]]


def test_what_one_server_of_a_cell_is_told_the_other_answers_by(
    publisher: Publisher, redis_server: RedisServer, tmp_path: Path
) -> None:
    with redis_server.client() as client:
        client.config_set("requirepass", PASSWORD)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (tmp_path / "password").chmod(0o600)
    config = of_cell(publisher, redis_server, tmp_path, password_file=tmp_path / "password")
    with ExitStack() as running:
        one, two = servers(config, tmp_path, running, publisher.publish(draft(1)))
        one.post(view(2), view(6)).raise_for_status()
        reply = two.ask(user_id="anna")
        assert (reply["privacy_tier"], reply["meta"]["degraded"]) == ("edge-cell", [])
        assert items_of(reply) == [item_id for item_id, _ in personal(draft(1), ["item-2", "item-6"])]

        hidden = items_of(reply)[0]
        two.post(view(int(hidden.removeprefix("item-")), "hide")).raise_for_status()
        assert hidden not in items_of(one.ask(user_id="anna", k=60))
        assert PASSWORD not in one.log() + two.log()


def test_while_redis_is_away_people_get_items_and_when_it_is_back_nothing_acknowledged_is_lost(
    publisher: Publisher, redis_server: RedisServer, tmp_path: Path
) -> None:
    with started(of_cell(publisher, redis_server, tmp_path), tmp_path) as server:
        server.serves(publisher.publish(draft(1)))
        server.post(view(2), view(6)).raise_for_status()
        redis_server.kill()
        reply = server.ask(user_id="anna")
        assert reply["meta"]["degraded"] == ["store-unavailable"]
        assert len(reply["items"]) == 10
        assert server.post(view(8)).status_code == 503
        assert server.client.get("/readyz").json()["checks"]["store"] == {"status": "unavailable"}

        redis_server.start()
        until(lambda: server.ask(user_id="anna")["meta"]["degraded"] == [], server.log)
        known = [item_id for item_id, _ in personal(draft(1), ["item-2", "item-6"])]
        assert items_of(server.ask(user_id="anna")) == known
        assert server.post(view(2)).json()["events"][0]["status"] == 200  # it is there
        assert server.post(view(8)).json()["events"][0]["status"] == 201
