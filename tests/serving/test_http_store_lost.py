"""A store whose file goes, or whose disk is full, over a real socket: nothing is acknowledged that would be lost."""

import resource
from pathlib import Path
from typing import Any

from tests.serving.published import Publisher, draft, personal
from tests.serving.running import Server, config_of, started


def event(number: int) -> dict[str, Any]:
    return {"event_id": f"event-{number}", "user_id": "anna", "item_id": f"item-{number}", "event": "view"}


def store_check(server: Server) -> Any:
    return server.client.get("/readyz").json()["checks"]["store"]


def test_after_the_store_file_is_removed_no_event_is_acknowledged(publisher: Publisher, tmp_path: Path) -> None:
    config = config_of(publisher, store=tmp_path / "store.sqlite")
    model_id = publisher.publish(draft(1))
    with started(config, tmp_path) as server:
        server.serves(model_id)
        server.post(event(1)).raise_for_status()
        assert store_check(server) == {"status": "ok"}
        for file in tmp_path.glob("store.sqlite*"):
            file.unlink()

        assert store_check(server) == {"status": "unavailable"}
        refused = server.post(event(2))
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/store-unavailable")
        assert server.ask(user_id="anna")["meta"]["degraded"] == ["store-unavailable"]

    with started(config, tmp_path) as server:
        server.serves(model_id)
        assert store_check(server) == {"status": "ok"}
        server.post(event(2)).raise_for_status()
    with started(config, tmp_path) as server:
        server.serves(model_id)
        found = [item["item_id"] for item in server.ask(user_id="anna")["items"]]
        assert found == [item_id for item_id, _ in personal(draft(1), ["item-2"])]


def test_a_full_disk_is_told_by_readiness_until_it_can_be_written_to_again(
    publisher: Publisher, tmp_path: Path
) -> None:
    store = tmp_path / "store.sqlite"
    model_id = publisher.publish(draft(1))
    with started(config_of(publisher, store=store), tmp_path) as server:
        server.serves(model_id)
        server.post(*(event(number) for number in range(20))).raise_for_status()
        limit_files(server, store.with_name("store.sqlite-wal").stat().st_size)
        assert store_check(server) == {"status": "ok"}  # nobody has found out yet

        assert server.post(event(20)).status_code == 503
        assert store_check(server) == {"status": "unavailable"}
        assert store_check(server) == {"status": "unavailable"}
        assert server.ask(user_id="anna")["meta"]["degraded"] == []  # what is there is read as before

        limit_files(server, resource.RLIM_INFINITY)
        assert store_check(server) == {"status": "ok"}  # without a post in between
        server.post(event(20)).raise_for_status()


def limit_files(server: Server, size: int) -> None:
    """Let no file of the server grow beyond that size, in bytes: a disk that is full, as far as it can tell."""
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
