"""The benchmark of serving under load: its load, its steps, its minutes, its peers, and a short run on real servers."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from benchmarks.serving_load import ANSWERED, Asked, loading
from benchmarks.serving_load_constant import constant_app
from benchmarks.serving_load_peers import cpu_seconds
from benchmarks.serving_load_soak import Sample, minutes_of
from benchmarks.serving_load_steps import Step, best, fastest, step_of
from benchmarks.serving_load_world import FRONT_PAGE, PATH, Shop, Size
from benchmarks.serving_under_load import Plan, measure_serving
from feature_store.errors import BadInput
from feature_store.item_schemas import Product
from feature_store.item_store import items_of
from feature_store.item_store_sqlite import open_sqlite_items
from hearth.commands.bench_serving import show_serving
from serving.placements.file import parse_placements

ROOT = Path(__file__).parents[2]
SMALL = Size(items=1200, dim=8, pairs=20, people=10, events=5, store="memory")
ASKED = Asked([("/a", {"user_id": "one"}), ("/b", {"user_id": "two"})], 4)


class Answering(BaseHTTPRequestHandler):
    """Answers at once; but for a while all stand still, and every so many-th request gets no reply."""

    protocol_version = "HTTP/1.1"
    stands_still = (0.0, 0.0)  # from when to when
    breaks_every = 0
    asked: list[tuple[str, Any]]
    lock = threading.Lock()

    def do_POST(self) -> None:
        kind = type(self)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        since, until = kind.stands_still
        if since <= (now := time.monotonic()) < until:
            time.sleep(until - now)
        with kind.lock:
            kind.asked.append((self.path, body))
            if kind.breaks_every and len(kind.asked) % kind.breaks_every == 0:
                self.close_connection = True
                return
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst")
        time.sleep(0.001)  # a reply may come in pieces
        self.wfile.write(b"second")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(**how: Any) -> Iterator[tuple[str, type[Answering]]]:
    kind = type("_Answering", (Answering,), {"asked": [], **how})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", kind
        server.shutdown()


def test_all_who_were_due_while_a_server_stood_still_are_counted_from_then(tmp_path: Path) -> None:
    with answering() as (address, kind), loading(address, ASKED, tmp_path) as load:
        load.run(100.0, 0.1)
        since, until = kind.stands_still = (time.monotonic(), time.monotonic() + 0.6)
        answers = load.run(200.0, 1.0)
    assert len(answers) == 200
    assert (answers["status"] == 200).all()
    due = answers["due"]
    came = answers[(due >= since) & (due < until - 0.05)]
    assert len(came) > 40  # a client that waited for its four replies would have asked four times
    assert (came["done"] >= until - 0.002).all()
    assert (came["sent"] - came["due"] > 0.01).sum() > len(came) / 2  # with four connections most could not even go out
    assert (due[1:] > due[:-1]).all()


def test_the_load_asks_for_all_requests_in_turn_and_at_the_rate(tmp_path: Path) -> None:
    with answering() as (address, kind), loading(address, ASKED, tmp_path) as load:
        answers = load.run(100.0, 2.0)
    assert len(answers) == 200
    assert answers["due"][-1] - answers["due"][0] == pytest.approx(2.0, rel=0.25)
    assert kind.asked.count(("/a", {"user_id": "one"})) == kind.asked.count(("/b", {"user_id": "two"})) == 100


def test_a_connection_that_breaks_is_a_failure_and_no_other_is(tmp_path: Path) -> None:
    with answering(breaks_every=20) as (address, kind), loading(address, ASKED, tmp_path) as load:
        first, second = load.run(100.0, 0.5), load.run(100.0, 0.5)  # three of four break, and are opened again
    assert ((first["status"] == 0).sum(), (second["status"] == 0).sum()) == (2, 3)
    assert (first["status"] == 200).sum() == 48
    assert len(kind.asked) == 100


def test_without_a_rate_the_next_goes_out_when_the_reply_is_there(tmp_path: Path) -> None:
    with answering() as (address, kind), loading(address, ASKED, tmp_path) as load:
        answers = load.run(None, 0.5)
    assert len(answers) == len(kind.asked) > 20
    assert (answers["status"] == 200).all()
    under_way = [int(((answers["sent"] < at) & (answers["done"] > at)).sum()) for at in answers["sent"][5:-5] + 1e-9]
    assert max(under_way) <= 4


def answered(*rows: tuple[float, float, float, int]) -> np.ndarray:
    return np.array([(due, sent, done, status) for due, sent, done, status in rows], ANSWERED)


def test_a_step_counts_from_when_requests_were_due_and_only_what_was_right() -> None:
    step = step_of(2.0, answered((10.0, 10.001, 10.02, 200), (10.5, 10.7, 10.9, 503), (11.0, 11.0, 12.0, 200)), 0.03)
    assert (step.requests, step.failed) == (3, 1)
    assert step.rps == pytest.approx(1.0)
    assert step.p50 == pytest.approx(400.0)
    assert step.p99 == pytest.approx(np.percentile([20.0, 400.0, 1000.0], 99))
    assert step.cpu_milliseconds == pytest.approx(10.0)
    assert step.late_p99 == pytest.approx(np.percentile([1.0, 200.0, 0.0], 99))


def a_step(rate: float, p99: float, failed: int = 0) -> Step:
    return Step(rate, 100, rate, failed, 1.0, p99, 1.0, 0.0)


@pytest.mark.parametrize("most", [3.0, 47.0, 100.0, 512.0])
def test_the_highest_rate_that_meets_the_bound_is_found_to_eight_percent(most: float) -> None:
    measured: list[float] = []

    def measure(rate: float) -> Step:
        measured.append(rate)
        return a_step(rate, 5.0 if rate <= most else 80.0)

    found = best(fastest(measure, 10.0, 40.0), 10.0)
    assert found is not None
    assert most / 1.08 <= found.rate <= most
    assert len(measured) < 25


def test_a_step_with_failures_does_not_meet_a_bound_and_a_rate_has_a_second_chance() -> None:
    tried: list[float] = []

    def measure(rate: float) -> Step:
        tried.append(rate)
        return a_step(rate, 5.0, failed=1) if rate > 40 or tried.count(rate) == 1 else a_step(rate, 5.0)

    found = best(fastest(measure, 10.0, 40.0), 10.0)
    assert found is not None
    assert found.rate == 40.0


def test_where_no_rate_meets_the_bound_there_is_none_and_steps_of_another_bound_are_not_measured_again() -> None:
    measured: list[float] = []

    def measure(rate: float) -> Step:
        measured.append(rate)
        return a_step(rate, 20.0 if rate <= 40 else 80.0)

    steps = fastest(measure, 10.0, 40.0)
    assert best(steps, 10.0) is None
    assert 40.0 / 32 < min(measured) < 40.0 / 8
    measured.clear()
    found = best(fastest(measure, 50.0, 40.0, steps), 50.0)
    assert found is not None
    assert found.rate == 40.0
    assert min(measured) > 40.0


def test_minutes_have_the_requests_that_were_due_in_them_and_the_last_what_is_left_over() -> None:
    rows = [(0.5 * n, 0.5 * n, 0.5 * n + (0.01 if n < 20 else 0.03), 200 if n != 25 else 503) for n in range(44)]
    figures = [(0.0, 100.0, 7.0), (5.0, 102.0, 7.1), (6.0, 109.0, 7.12), (15.0, 140.0, 7.3), (21.0, 150.0, 7.9)]
    samples = [Sample(*one, yardstick=0.001 * number) for number, one in enumerate(figures, 1)]
    first, last = minutes_of(answered(*rows), samples, window=10.0)
    assert (first["requests"], first["failed"], last["requests"], last["failed"]) == (20, 0, 24, 1)
    assert (first["p99"], last["p50"]) == (pytest.approx(10.0), pytest.approx(30.0))
    # By 10 s 7.2 of processor time, by 21 s, before the last request, 7.9.
    assert first["cpu_milliseconds"] == pytest.approx(1e3 * 0.2 / 20)
    assert last["cpu_milliseconds"] == pytest.approx(1e3 * 0.7 / 24)
    assert (first["yardstick_milliseconds"], last["yardstick_milliseconds"]) == (pytest.approx(2.0), pytest.approx(4.5))
    assert (first["megabytes"], first["megabytes_highest"], last["megabytes"]) == (102.0, 109.0, 145.0)


def test_the_shop_has_the_rules_of_the_example() -> None:
    file = ROOT / "examples" / "placements" / "e-commerce.toml"
    example = parse_placements(file, file.read_bytes())["front-page"]
    ours = [rule.model_dump(exclude={"starts", "ends"}) for rule in FRONT_PAGE.rules]
    assert ours == [rule.model_dump(exclude={"starts", "ends"}) for rule in example.rules]
    assert FRONT_PAGE.model_dump(exclude={"rules"}) == example.model_dump(exclude={"rules"})


def test_a_filter_lets_the_share_of_the_shop_through_that_it_is_named_for(tmp_path: Path) -> None:
    shop = Shop(tmp_path, SMALL)
    (first, body), *_ = shop.requests(0.3, 7)
    assert (first, body["k"]) == (PATH, 7)

    async def read() -> list[float]:
        async with open_sqlite_items(tmp_path / "items.sqlite") as items:
            found = [item async for item in items_of(items, "e-commerce")]
        return [float(item.price) for item in found if isinstance(item, Product) and item.price is not None]

    prices = np.array(asyncio.run(read()))
    assert len(prices) == 1212
    assert (prices <= body["filters"]["price"]["max"]).mean() == pytest.approx(0.3, abs=0.05)
    assert all("filters" not in body for _, body in shop.requests(1.0, 7))


def test_the_constant_server_refuses_what_ours_refuses_and_answers_the_rest_alike(tmp_path: Path) -> None:
    app = constant_app(Shop(tmp_path, SMALL).config(), b'{"a":1}')

    async def asked(path: str, body: object) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://peer") as client:
            return await client.post(path, json=body)

    right = asyncio.run(asked(PATH, {"user_id": "person-1", "k": 3}))
    assert (right.status_code, right.content) == (200, b'{"a":1}')
    assert "x-request-id" in right.headers
    assert asyncio.run(asked(PATH, {"user_id": 1})).status_code == 422
    assert asyncio.run(asked("/v1/placements/other:recommend", {"user_id": "a"})).status_code == 404


def test_processor_time_of_a_process_grows_as_it_computes() -> None:
    before, until = cpu_seconds(os.getpid()), time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert 0.15 < cpu_seconds(os.getpid()) - before < 5.0


def test_processor_time_is_that_of_a_whole_tree_of_processes() -> None:
    loop = "import time; [None for _ in iter(lambda: time.process_time() < 0.4, False)]; print(1, flush=True); input()"
    inner = [sys.executable, "-c", loop]
    outer = [sys.executable, "-c", f"import subprocess; subprocess.run({inner!r})"]
    with subprocess.Popen(outer, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        assert cpu_seconds(process.pid) > 0.35
        process.stdin.write(b"\n")


@pytest.mark.parametrize("wrong", [{"selectivities": ()}, {"selectivities": (0.0,)}, {"share": 1.5}])
def test_a_plan_that_measures_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="up to 1"):
        measure_serving(SMALL, Plan(**wrong), lambda _: None)


def test_workers_need_a_store_that_they_share() -> None:
    with pytest.raises(BadInput, match="keep people in sqlite"):
        measure_serving(SMALL._replace(store="memory"), Plan(workers=2), lambda _: None)


@pytest.mark.slow
def test_all_three_servers_are_measured_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(selectivities=(0.5,), seconds=0.2, soak=2.5, workers=2)
    figures = measure_serving(SMALL._replace(found_by="int8", store="sqlite"), plan, lambda _: None)
    hearth, workers, constant, tutorial = figures["rows"]
    names = ["hearth", "hearth, 2 workers", "constant", "tutorial"]
    assert [row["server"] for row in figures["rows"]] == names
    both = [row["at"]["50"] for row in (workers, tutorial)]
    assert workers["megabytes"] > 1.2 * hearth["megabytes"] > 60  # three processes, which share what they can
    expected = None if None in both else both[0]["rps"] / both[1]["rps"]
    assert figures["targets"]["by_tutorial_of_workers"]["50"] == pytest.approx(expected)
    assert hearth["selectivity"] == 0.5
    assert hearth["recall"] == (1.0 if hearth["recall_probes"] else None)
    assert figures["index"] == "int8"
    for row in figures["rows"]:
        assert row["busy"]["failed"] < row["busy"]["requests"] / 2  # a machine that others need may turn some away
        assert row["busy"]["cpu_milliseconds"] > 0.05
        found = row["at"]["50"]
        assert found is None or (found["failed"] == 0 and found["p99"] <= 50)
    assert figures["targets"]["cpu_of_constant"] == pytest.approx(
        constant["busy"]["cpu_milliseconds"] / hearth["busy"]["cpu_milliseconds"]
    )
    if figures["soak"] is not None:
        assert figures["soak"]["rate"] == pytest.approx(0.7 * hearth["at"]["50"]["rps"])
        assert figures["soak"]["requests"] == sum(minute["requests"] for minute in figures["soak"]["minutes"])
        assert figures["soak"]["minutes"][0]["megabytes"] > 50
        assert figures["soak"]["minutes"][0]["yardstick_milliseconds"] > 0.1
    show_serving(figures)
    assert "tutorial" in capsys.readouterr().out
