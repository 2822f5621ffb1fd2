"""A request that names its model is answered by that one or refused, whatever happens while the person is read."""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from feature_store.encryption import own_keys
from feature_store.redis_settings import RedisSettings
from tests.redis_server import RedisServer, running_redis
from tests.serving.on_trial import loaded
from tests.serving.published import Publisher, draft
from tests.serving.running import PATIENCE, Server, config_of, started, until


@contextmanager
def standing_still(redis: RedisServer) -> Iterator[None]:
    """It answers nothing meanwhile, and all of it afterwards."""
    redis.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        redis.process.send_signal(signal.SIGCONT)


def test_a_model_that_leaves_its_stage_while_the_person_is_read_is_answered_by_no_other(
    publisher: Publisher, tmp_path: Path
) -> None:
    first, second, third = (publisher.publish(draft(seed), promote=seed == 1) for seed in (1, 2, 3))
    publisher.registry.promote(third, "shadow")
    folder = tmp_path / "redis"
    folder.mkdir()
    own_keys(tmp_path / "cell.keys")
    with running_redis(folder) as redis, ExitStack() as open_:
        place = {"redis": RedisSettings(url=redis.url, timeout_seconds=30.0), "store_keys": tmp_path / "cell.keys"}
        with started(config_of(publisher, **place, store_timeout_seconds=30.0), tmp_path) as server:
            server.serves(first)
            loaded(server, third)
            for model_id in (first, third):
                assert server.ask(user_id="anna", model_id=model_id)["model_id"] == model_id
            with standing_still(redis):
                waiting = [asked(server, open_, {"user_id": "anna", "model_id": name}) for name in (first, third)]
                server.client.get("/livez").raise_for_status()  # those came before it
                publisher.registry.promote(second)
                publisher.registry.promote(third, "candidate")
                server.serves(second)
                until(lambda: not server.client.get(f"/v1/models/{third}/ready").json()["ready"], server.log)
            for reply in (one.getresponse() for one in waiting):
                assert (reply.status, json.loads(reply.read())["type"]) == (409, "/problems/model-not-loaded")


def asked(server: Server, open_: ExitStack, body: object) -> HTTPConnection:
    """A request that is on its way; its reply has yet to be read."""
    url = server.client.base_url
    connection = open_.enter_context(closing(HTTPConnection(url.host, url.port, timeout=PATIENCE)))
    headers = {"content-type": "application/json"}
    connection.request("POST", "/v1/placements/home:recommend", json.dumps(body), headers)
    return connection
