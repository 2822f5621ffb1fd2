"""A server of several processes: one address, one copy of the items, and what came to one is known to all."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from feature_store.item_schemas import Article
from serving.config import ServingConfig
from tests.serving.access.keyed import KeyFile, bearer
from tests.serving.items_file import put
from tests.serving.published import Publisher, draft
from tests.serving.running import PATIENCE, ROOT, Server, config_of, running, started, until

EVENTS = "/v1/events"
RECOMMEND = "/v1/placements/home:recommend"
BIG = draft(1, items=40_000, dim=64)  # 10 MB of vectors


class Cell(NamedTuple):
    """A server of two workers that wants keys, and one of them that may do everything."""

    server: Server
    address: str
    key: str
    keys: KeyFile


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    folder = tmp_path_factory.mktemp("workers")
    publisher, keys = Publisher(folder), KeyFile(folder / "keys.json")
    publisher.publish(BIG)
    key = keys.add("all", "recommend", "ingest", "admin", "metrics")
    keys.add("few", "recommend", per_second=0.001, burst=6)
    keys.add("daily", "recommend", per_day=6)
    config = config_of(publisher, store=folder / "people.sqlite", workers=2, api_keys=keys.file, open_metrics=True)
    with started(config, folder) as server:
        address = str(server.client.base_url)
        until(lambda: len(answering(server)) == 2, server.log)
        yield Cell(server, address, key, keys)


def answering(server: Server) -> set[int]:
    """Workers that have a model."""
    samples = server.client.get("/metrics").text
    return {number for number in (0, 1) if f'hearth_model_info{{worker="{number}"' in samples}


def ask(address: str, method: str, path: str, key: str = "", body: Any = None) -> httpx.Response:
    """A request on a connection of its own."""
    headers = bearer(key) if key else {}
    with httpx.Client(base_url=address, timeout=PATIENCE, headers=headers) as client:
        return client.request(method, path, json=body)


def worker_of(server: Server, response: httpx.Response) -> int:
    """Which worker has answered, as the log says."""
    identifier = response.headers["x-request-id"]
    return int(
        until(
            lambda: next(
                (str(line["worker"]) for line in server.logged("request") if line["request_id"] == identifier), None
            ),
            server.log,
        )
    )


def total(server: Server, name: str) -> float:
    """The sum of one metric over labels and workers."""
    lines = [line for line in server.client.get("/metrics").text.splitlines() if line.startswith(f"{name}{{")]
    assert all('{worker="' in line for line in lines)
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_there(process: int) -> bool:
    """Whether it runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def view(event_id: str, user_id: str, item_id: str, kind: str = "view", **more: str) -> dict[str, str]:
    return {"event_id": event_id, "user_id": user_id, "item_id": item_id, "event": kind, **more}


def test_all_workers_answer_at_one_address_and_each_line_and_sample_says_whose_it_is(cell: Cell) -> None:
    assert len(cell.server.logged("listening")) == 1
    replies = [ask(cell.address, "GET", "/livez") for _ in range(24)]
    assert {worker_of(cell.server, reply) for reply in replies} == {0, 1}
    samples = cell.server.client.get("/metrics").text.splitlines()
    assert [line for line in samples if line.startswith("hearth_worker_up{")] == [
        'hearth_worker_up{worker="0"} 1.0',
        'hearth_worker_up{worker="1"} 1.0',
    ]
    families = [line.split()[2] for line in samples if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    lines = [json.loads(line) for line in cell.server.log().splitlines()]
    assert {line["worker"] for line in lines if line["logger"] != "serving.workers"} == {0, 1}
    assert {line["worker"] for line in lines if line["message"] == "people folded in"} == {0}  # all, and once


def test_an_event_counts_once_for_the_reply_that_it_follows_whichever_worker_made_it(cell: Cell) -> None:
    names = ("hearth_shown_total", "hearth_clicked_total", "hearth_events_total")
    before = {name: total(cell.server, name) for name in names}
    met: Counter[bool] = Counter()
    while min(met[True], met[False]) < 3:
        number = met.total()
        assert number < 60
        person = f"reader-{number}"
        reply = ask(cell.address, "POST", RECOMMEND, cell.key, {"user_id": person, "k": 3})
        shown, item = reply.json()["recommendation_id"], reply.json()["items"][0]["item_id"]
        events = [
            view(f"{person}-{kind}", person, item, kind, recommendation_id=shown) for kind in ("impression", "click")
        ]
        told = [ask(cell.address, "POST", EVENTS, cell.key, {"events": events}) for _ in range(2)]
        assert [[one["status"] for one in each.json()["events"]] for each in told] == [[201, 201], [200, 200]]
        met[worker_of(cell.server, reply) == worker_of(cell.server, told[0])] += 1

    def counted() -> dict[str, float]:
        return {name: total(cell.server, name) - before[name] for name in names}

    count = met.total()
    expected = {"hearth_shown_total": count, "hearth_clicked_total": count, "hearth_events_total": 4 * count}
    until(lambda: counted() == expected, counted)
    time.sleep(0.1)
    assert counted() == expected


def test_an_erasure_s_receipt_is_had_from_any_worker(cell: Cell) -> None:
    ask(cell.address, "POST", EVENTS, cell.key, {"events": [view("e-1", "eva", "item-1")]}).raise_for_status()
    erased = ask(cell.address, "POST", "/v1/privacy/erasures", cell.key, {"user_id": "eva"})
    place = erased.headers["location"]
    replies = [ask(cell.address, "GET", place, cell.key) for _ in range(16)]
    assert {worker_of(cell.server, reply) for reply in replies} == {0, 1}
    assert {reply.json()["erasure_id"] for reply in replies} == {erased.json()["erasure_id"]}
    assert ask(cell.address, "GET", f"{place}0", cell.key).status_code == 404


@pytest.mark.parametrize("name", ["few", "daily"])
def test_a_key_has_its_rate_and_its_quota_once(cell: Cell, name: str) -> None:
    statuses, workers = Counter[int](), set()
    for _ in range(20):
        reply = ask(cell.address, "POST", RECOMMEND, cell.keys.secrets[name], {"k": 1})
        statuses[reply.status_code] += 1
        workers.add(worker_of(cell.server, reply))
        time.sleep(0.05)  # for the others to be told
    assert statuses == {200: 6, 429: 14}
    assert workers == {0, 1}


def test_workers_have_the_items_in_memory_once(cell: Cell) -> None:
    found = [vectors_of(worker) for worker in children(cell.server.process.pid)]
    assert len(found) == 2
    [place] = {place for place, _ in found}
    assert all(private == 0 for _, private in found)
    assert Path(place).stat().st_size > BIG.item_vectors.nbytes


def vectors_of(process: int) -> tuple[str, int]:
    """The file of item vectors that a process has mapped, and how many kB of it are its own."""
    lines = Path(f"/proc/{process}/smaps").read_text().splitlines()
    begins = next(at for at, line in enumerate(lines) if line.endswith("vectors.npy"))
    private = [line for line in lines[begins : begins + 24] if line.startswith(("Private_Dirty", "Anonymous"))]
    return lines[begins].split()[-1], sum(int(line.split()[1]) for line in private)


def test_a_killed_worker_is_started_again_and_others_answer_meanwhile(publisher: Publisher, tmp_path: Path) -> None:
    """There is no model: lists are of what was clicked most, which every worker has counted once."""
    with started(catalogue_of(publisher, tmp_path), tmp_path) as server:
        address = str(server.client.base_url)
        before = children(server.process.pid)
        os.kill(before[0], signal.SIGKILL)
        [ended] = until(lambda: server.logged("worker ended"), server.log)  # all its threads, and its socket, are gone
        assert ended["reason"] == "killed by SIGKILL"
        assert {ask(address, "GET", "/livez").status_code for _ in range(10)} == {200}
        server.client.close()  # its connection may have been to the worker that was killed
        with httpx.Client(base_url=address, timeout=PATIENCE) as client:
            server.client = client
            assert total(server, "hearth_worker_up") == 1.0
            until(lambda: total(server, "hearth_worker_up") == 2.0, server.log)
            assert len(set(children(server.process.pid)) - set(before)) == 1
            told = {"news-4": 4, "news-5": 3}  # each at another worker
            with of_each(server, address) as clients:
                for item, one in zip(told, clients, strict=True):
                    clicks = [
                        view(f"{item}-{number}", f"reader-{number}", item, "click", vertical="news")
                        for number in range(told[item])
                    ]
                    one.post(EVENTS, json={"events": clicks}).raise_for_status()
                time.sleep(0.2)
                for one in clients:
                    reply = one.post("/v1/placements/news:recommend", json={"k": 2}).json()
                    assert [item["item_id"] for item in reply["items"]] == list(told)


@contextmanager
def of_each(server: Server, address: str) -> Iterator[list[httpx.Client]]:
    """A client of each worker, with its connection."""
    with ExitStack() as opened:
        found: dict[int, httpx.Client] = {}
        while len(found) < 2:
            client = opened.enter_context(httpx.Client(base_url=address, timeout=PATIENCE))
            found[worker_of(server, client.get("/livez"))] = client
        yield [client for _, client in sorted(found.items())]


def catalogue_of(publisher: Publisher, folder: Path) -> ServingConfig:
    items = [
        Article(item_id=f"news-{number}", vertical="news", published=time.time() - 60 * number) for number in range(8)
    ]
    put(folder / "items.sqlite", items)
    placements = {"news": {"vertical": "news"}}
    return config_of(
        publisher, store=folder / "s.sqlite", items=folder / "items.sqlite", placements=placements, workers=2
    )


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, empty yet, in which what is started has what it keeps for as long as it runs."""
    folder = tmp_path / "private"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_told_to_stop_all_workers_finish_what_they_have_begun(
    publisher: Publisher, tmp_path: Path, private: Path
) -> None:
    publisher.publish(draft(1))
    config = config_of(publisher, store=tmp_path / "people.sqlite", workers=2)
    body = b'{"k": 3}'
    head = f"POST {RECOMMEND} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    with running(config, tmp_path) as server, ExitStack() as open_ones:
        until(lambda: len(answering(server)) == 2, server.log)
        workers = children(server.process.pid)
        assert os.getpgid(server.process.pid) not in map(os.getpgid, workers)  # which Ctrl-C would stop by itself
        address = (server.client.base_url.host, server.client.base_url.port)
        assert list(private.iterdir())
        connections = [open_ones.enter_context(socket.create_connection(address, timeout=PATIENCE)) for _ in range(12)]
        for connection in connections:
            connection.sendall(head.encode() + b"\r\n" + body[:4])
        time.sleep(0.3)  # the heads are read, and the rest is waited for
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(address), lambda: "new connections are still accepted")
        for connection in connections:
            connection.sendall(body[4:])
        replies = [b"".join(iter(lambda: connection.recv(65536), b"")) for connection in connections]  # noqa: B023
        assert [reply[:13] for reply in replies] == [b"HTTP/1.1 200 "] * 12
        assert server.process.wait(PATIENCE) == 0
        assert {line["worker"] for line in server.logged("worker stopped", 2)} == {0, 1}
        assert not any(map(is_there, workers))
        assert {line["worker"] for line in server.logged("request", 12)} == {0, 1}
    assert not list(private.iterdir())


def test_where_the_parent_is_killed_no_process_and_no_file_is_left(
    publisher: Publisher, tmp_path: Path, private: Path
) -> None:
    publisher.publish(draft(1))
    with running(config_of(publisher, store=tmp_path / "people.sqlite", workers=2), tmp_path) as server:
        workers = children(server.process.pid)
        assert len(workers) == 2
        server.process.kill()
        until(lambda: not any(map(is_there, workers)), server.log)
        assert refuses((server.client.base_url.host, server.client.base_url.port))
    until(lambda: not list(private.iterdir()), lambda: "the folder is still there")


def test_a_worker_that_cannot_begin_again_and_again_ends_the_server(publisher: Publisher, tmp_path: Path) -> None:
    config = config_of(publisher, store=tmp_path / "people.sqlite", workers=2)
    with running(config, tmp_path) as server:
        workers = children(server.process.pid)
        publisher.public_key.rename(tmp_path / "elsewhere.pem")
        os.kill(workers[1], signal.SIGKILL)
        assert server.process.wait(2 * PATIENCE) == 1
        assert not any(map(is_there, workers))
        said = server.log().splitlines()[-1]
        assert "times in a row before it listened" in said
        assert "trusted.pem" in said


def test_what_one_process_says_of_its_address_and_its_settings_several_say_too(
    publisher: Publisher, tmp_path: Path
) -> None:
    config = config_of(publisher, store=tmp_path / "people.sqlite", workers=2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = ended_with(config.model_copy(update={"port": taken.getsockname()[1]}), tmp_path)
    assert "Address already in use" in ended

    missing = ended_with(config.model_copy(update={"trusted_keys": (tmp_path / "missing.pem",)}), tmp_path)
    assert "missing.pem" in missing
    assert '"worker ended"' not in missing


def ended_with(config: ServingConfig, folder: Path) -> str:
    file = folder / "serving.json"
    file.write_text(config.model_dump_json())
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "serving", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_several_workers_need_a_place_that_they_share(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="cannot share what is kept in memory; name a store or a redis"):
        config_of(publisher, workers=2)
    with pytest.raises(ValueError, match="less than or equal to 64"):
        config_of(publisher, workers=65)


def refuses(address: tuple[str, int | None]) -> bool:
    with suppress(ConnectionResetError):
        try:
            socket.create_connection(address, timeout=1.0).close()
        except ConnectionRefusedError:
            return True
    return False


def test_a_worker_that_is_started_again_takes_no_request_before_it_has_the_model(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish(BIG)
    config = config_of(publisher, store=tmp_path / "s.sqlite", workers=2)
    with started(config, tmp_path) as server:
        address = str(server.client.base_url)
        until(lambda: len(answering(server)) == 2, server.log)
        os.kill(children(server.process.pid)[0], signal.SIGKILL)
        server.logged("worker ended")
        statuses: Counter[int] = Counter()
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends and len(server.log().split("worker listening")) < 4:
            time.sleep(0.005)
        for _ in range(60):
            with suppress(httpx.TransportError):
                statuses[ask(address, "POST", RECOMMEND, body={"k": 1}).status_code] += 1
        assert set(statuses) == {200}
