"""Readiness where placements use the social graph and ads: each has a check, and none makes a server unready."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from feature_store.durable import replace
from feature_store.encryption import own_keys
from feature_store.redis_settings import RedisSettings
from tests.redis_server import running_redis
from tests.serving.published import Publisher, draft
from tests.serving.running import Server, config_of, started, until

PLACEMENTS: Mapping[str, Mapping[str, Any]] = {
    "home": {},
    "feed": {"vertical": "social", "respects_graph": True},
    "banner": {"vertical": "ads", "ads": {"currency": "EUR"}},
}
ALL_WELL = {name: {"status": "ok"} for name in ("store", "social-graph", "ad-counters", "catalogue")}


def stores(server: Server) -> dict[str, Any]:
    """The checks of stores, of a server that is ready whatever they say."""
    ready = server.client.get("/readyz")
    assert ready.status_code == 200
    checks: dict[str, Any] = ready.json()["checks"]
    assert checks.pop("model")["status"] == "ok"
    return checks


def rename(file: Path, before: str, after: str) -> None:
    """A failure that is real: the table is not there."""
    with closing(sqlite3.connect(file, timeout=10.0)) as connection:
        connection.execute(f"ALTER TABLE {before} RENAME TO {after}")
        connection.commit()


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(publisher: Publisher, tmp_path: Path) -> None:
    model_id = publisher.publish(draft(1))
    config = config_of(
        publisher,
        store=tmp_path / "store.sqlite",
        social_graph=tmp_path / "graph.sqlite",
        ad_counters=tmp_path / "ads.sqlite",
        items=tmp_path / "items.sqlite",
        ads_seconds=0.05,
        placements=PLACEMENTS,
    )
    broken = [
        ("graph.sqlite", "ties", "social-graph"),
        ("ads.sqlite", "shows", "ad-counters"),
        ("ads.sqlite", "totals", "ad-counters"),
        ("ads.offers.sqlite", "counts", "ad-counters"),
    ]
    with started(config, tmp_path) as server:
        server.serves(model_id)
        until(lambda: stores(server) == ALL_WELL, server.log)
        for file, table, name in broken:
            rename(tmp_path / file, table, "away")
            assert stores(server) == {**ALL_WELL, name: {"status": "unavailable"}}, table
            rename(tmp_path / file, "away", table)
            until(lambda: stores(server) == ALL_WELL, server.log)


def test_what_no_placement_uses_any_more_is_not_asked(publisher: Publisher, tmp_path: Path) -> None:
    model_id, file = publisher.publish(draft(1)), tmp_path / "placements.json"
    replace(file, json.dumps({"feed": PLACEMENTS["feed"]}).encode())
    config = config_of(
        publisher,
        store=tmp_path / "store.sqlite",
        social_graph=tmp_path / "graph.sqlite",
        ad_counters=tmp_path / "ads.sqlite",
        items=tmp_path / "items.sqlite",
        placements_file=file,
    )
    with started(config, tmp_path) as server:
        server.serves(model_id)
        assert set(stores(server)) == {"store", "social-graph", "catalogue", "placements"}
        replace(file, json.dumps({"banner": PLACEMENTS["banner"]}).encode())
        until(lambda: set(stores(server)) == {"store", "ad-counters", "catalogue", "placements"}, server.log)


def test_a_redis_that_is_gone_is_named_for_all_that_it_holds_and_no_server_is_unready(
    publisher: Publisher, tmp_path: Path
) -> None:
    model_id = publisher.publish(draft(1))
    own_keys(tmp_path / "cell.keys")
    with running_redis(tmp_path) as redis:
        place = RedisSettings(url=redis.url)
        keys = tmp_path / "cell.keys"
        with started(
            config_of(publisher, redis=place, items_redis=place, store_keys=keys, placements=PLACEMENTS), tmp_path
        ) as server:
            server.serves(model_id)
            until(lambda: stores(server) == ALL_WELL, server.log)
            redis.kill()
            gone = {name: {"status": "unavailable"} for name in ALL_WELL}
            gone["catalogue"] = {"status": "stale", "reason": "StoreUnavailable"}
            until(lambda: stores(server) == gone, server.log)
            assert server.ask()["items"]
