"""The process: quick to start, without TensorFlow, and orderly in its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feature_store.encryption import KEY_VARIABLE
from tests.serving.published import Publisher, draft
from tests.serving.running import PATIENCE, ROOT, config_of, running, until

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
FOREIGN = ("tensorflow", "tf_keras", "tensorflow_recommenders", "training", "hearth", "benchmarks")


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_serving_imports_neither_tensorflow_nor_training() -> None:
    found = start("-c", "import serving.server, serving.__main__, sys, json; print(json.dumps(sorted(sys.modules)))")
    modules = json.loads(found.stdout)
    assert "serving.routes" in modules
    assert [name for name in modules if name.partition(".")[0] in FOREIGN] == []


def test_a_server_answers_within_three_seconds_of_its_start_and_says_where(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish(draft(1, items=4000, dim=64))
    config = config_of(publisher, store=tmp_path / "store.sqlite", watch_seconds=1.0)
    seconds = []
    for _ in range(2):  # the first fills the machine's caches
        begun = time.perf_counter()
        with running(config, tmp_path, is_fresh=True) as server:
            until(lambda: server.client.get("/readyz").status_code == 200, server.log)
            seconds.append(time.perf_counter() - begun)
            assert server.logged("listening")[0]["address"] == str(server.client.base_url)
            loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
            assert "tensorflow" not in loaded
            assert server.stop() == 0
    assert min(seconds) < 3.0


def test_a_thread_beside_the_event_loop_gives_way_soon_and_blas_has_one_thread_unless_the_environment_says_how_many(
    publisher: Publisher, tmp_path: Path
) -> None:
    config = tmp_path / "serving.json"
    config.write_text(config_of(publisher).model_dump_json())
    program = """
import os, signal, sys
from pathlib import Path
from threadpoolctl import threadpool_info
from serving.config import ServingConfig
from serving.server import run

def listening(_):
    print(*(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"))
    print(sys.getswitchinterval())
    os.kill(os.getpid(), signal.SIGTERM)

run(ServingConfig.model_validate_json(Path(sys.argv[1]).read_bytes()), listening)
"""
    for said, threads in ((None, "1"), ("2", str(min(2, os.cpu_count() or 1)))):
        environment = {name: value for name, value in os.environ.items() if name != BLAS_THREADS}
        ended = subprocess.run(
            [sys.executable, "-c", program, str(config)],
            cwd=ROOT,
            env=environment if said is None else {**environment, BLAS_THREADS: said},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        *found, seconds = ended.stdout.split()
        assert ({*found}, seconds) == ({threads}, "0.0005")  # numba brings a second BLAS where scipy is there


def test_told_to_stop_a_server_finishes_what_it_has_begun(publisher: Publisher, tmp_path: Path) -> None:
    model_id = publisher.publish(draft(1))
    body = b'{"k": 3}'
    with running(config_of(publisher, store=tmp_path / "store.sqlite"), tmp_path, is_fresh=True) as server:
        server.serves(model_id)
        address = (server.client.base_url.host, server.client.base_url.port)
        with socket.create_connection(address, timeout=PATIENCE) as connection:
            head = "POST /v1/placements/home:recommend HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"
            connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:4])
            time.sleep(0.2)  # the server has read the head, and waits for the rest
            server.process.send_signal(signal.SIGTERM)
            until(lambda: refuses(address), lambda: "new connections are still accepted")
            connection.sendall(body[4:])
            reply = b"".join(iter(lambda: connection.recv(65536), b""))
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert len(json.loads(reply.partition(b"\r\n\r\n")[2])["items"]) == 3
        assert server.process.wait(PATIENCE) == 0
        assert server.logged("stopped")
    assert not (tmp_path / "store.sqlite-wal").exists()  # SQLite removes it when the store is closed well


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_server_that_waits(publisher: Publisher, tmp_path: Path, number: signal.Signals) -> None:
    with running(config_of(publisher), tmp_path, is_fresh=True) as server:
        server.process.send_signal(number)
        assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "Invalid JSON"),
        ('{"registry": "r"}', "trusted_keys"),
        ('{"registry": "r", "trusted_keys": ["missing.pem"]}', "missing.pem"),
    ],
)
def test_a_configuration_that_cannot_be_served_is_said_and_ends_with_1(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "serving.json"
    file.write_text(content)
    ended = start("-m", "serving", str(file))
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_an_address_that_is_taken_and_a_store_that_is_none_are_said(publisher: Publisher, tmp_path: Path) -> None:
    file = tmp_path / "serving.json"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file.write_text(config_of(publisher, port=taken.getsockname()[1]).model_dump_json())
        ended = start("-m", "serving", str(file))
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr

    (tmp_path / "store.sqlite").write_text("no database " * 100)
    file.write_text(config_of(publisher, store=tmp_path / "store.sqlite").model_dump_json())
    ended = start("-m", "serving", str(file))
    assert ended.returncode == 1
    assert "store.sqlite" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_store_without_its_keys_is_said_and_keys_may_come_from_the_environment(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, file = config_of(publisher, store=tmp_path / "store.sqlite"), tmp_path / "serving.json"
    file.write_text(config.model_copy(update={"store_keys": None}).model_dump_json())
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    ended = start("-m", "serving", str(file))
    assert ended.returncode == 1
    assert f"the environment variable {KEY_VARIABLE} is not set" in ended.stderr

    assert config.store_keys is not None
    monkeypatch.setenv(KEY_VARIABLE, config.store_keys.read_text())
    with running(config.model_copy(update={"store_keys": None}), tmp_path, is_fresh=True) as server:
        assert server.stop() == 0
    config.store_keys.write_text("AAAA" * 10 + "AAA=")
    file.write_text(config.model_dump_json())
    ended = start("-m", "serving", str(file))
    assert ended.returncode == 1
    assert "store.sqlite: a value is sealed with key" in ended.stderr


def test_without_a_file_the_usage_is_said() -> None:
    assert "python -m serving CONFIG.json" in start("-m", "serving").stderr


def refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1.0).close()
    except ConnectionRefusedError:
        return True
    return False
