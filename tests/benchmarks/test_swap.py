"""The benchmark of swaps: its load, its figures, and a short run on a real server."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.open_load import REPLY, LoadPlan, failed, running_load
from benchmarks.served import ServerFailed, served
from benchmarks.swap import SwapLoad, measure_swap
from benchmarks.swap_figures import QUIET, Phase, figures_of
from benchmarks.swap_operator import Operator, Told
from benchmarks.swap_world import Size, World
from feature_store.errors import BadInput
from hearth.commands.bench_swap import show_swap
from serving.trial import TrialSettings
from tests.hearth.command import Command

SMALL = Size(items=200, dim=4, pairs=10, people=20, events=3)
PLAN = LoadPlan(rate=200.0, connections=4, people=5, events=0.0, seed=1)


class Answering(BaseHTTPRequestHandler):
    """Answers lists at once; but for a while all stand still, and every so many-th request gets no reply."""

    protocol_version = "HTTP/1.1"
    stands_still = (0.0, 0.0)  # from when to when
    breaks_every = 0
    count = 0
    broken = 0
    lock = threading.Lock()

    def do_POST(self) -> None:
        kind = type(self)
        self.rfile.read(int(self.headers["content-length"]))
        since, until = kind.stands_still
        if since <= (now := time.monotonic()) < until:
            time.sleep(until - now)
        with kind.lock:
            kind.count += 1
            if kind.breaks_every and kind.count % kind.breaks_every == 0:
                kind.broken += 1
                self.close_connection = True
                return
        items = [{"item_id": "a"}]
        reply = {"meta": {"degraded": ["x"]}, "recommendation_id": "r", "model_id": "m", "items": items}
        content = json.dumps(reply).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(**how: Any) -> Iterator[tuple[str, type[Answering]]]:
    kind = type("_Answering", (Answering,), how)
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", kind
        server.shutdown()


def test_all_who_came_while_a_server_stood_still_waited_however_few_connections_there_were(tmp_path: Path) -> None:
    with answering() as (address, kind), running_load(address, PLAN, tmp_path) as load:
        time.sleep(0.3)
        since, until = kind.stands_still = (time.monotonic(), time.monotonic() + 0.5)
        time.sleep(0.9)
        replies = load.end()
    assert not failed(replies).any()
    assert replies["degraded"].all()
    came = replies[(replies["due"] >= since) & (replies["due"] < until - 0.05)]
    assert len(came) > 0.45 * 200 / 2
    assert (came["sent"] < until).mean() > 0.8  # with 4 connections, whoever waits for replies would have sent 4
    assert (came["done"] >= until - 0.001).all()  # and each is counted to the end of the standstill


def test_a_connection_that_breaks_is_a_failure_and_no_other_is(tmp_path: Path) -> None:
    with answering(breaks_every=10) as (address, kind), running_load(address, PLAN, tmp_path) as load:
        time.sleep(0.5)
        replies = load.end()
    assert kind.broken > 2
    assert failed(replies).sum() == kind.broken
    assert set(replies["status"].tolist()) == {0, 200}


def replies_of(*rows: tuple[float, float, int, bool]) -> np.ndarray:
    """due, milliseconds, status, events"""
    return np.array(
        [(due, due, due + taken / 1e3, status, events, False) for due, taken, status, events in rows], REPLY
    )


def test_a_request_counts_in_the_phase_in_which_it_was_due_and_failures_of_all_kinds_count() -> None:
    quiet, swap = Phase(QUIET, 0.0, 5.0, 10.0, 100.0, 110.0), Phase("swap", 10.0, 18.0, 20.0, 120.0, 150.0)
    replies = replies_of(
        (1.0, 10.0, 200, False),
        (2.0, 10.0, 207, True),  # events: no part of the percentiles
        (9.999, 10.0, 200, False),  # done in the next phase
        (11.0, 30.0, 200, False),
        (12.0, 9000.0, 200, True),  # not the status of events
        (18.5, 20.0, 503, False),
        (19.0, 20.0, 0, False),
    )
    figures = figures_of([quiet, swap], replies)
    assert list(figures) == [QUIET, "swap"]
    assert (figures[QUIET]["requests"], figures[QUIET]["failed"], figures[QUIET]["ratio"]) == (3, 0, 1.0)
    of = figures["swap"]
    assert (of["requests"], of["failed"]) == (4, 3)
    assert of["statuses"] == {"0": 1, "200": 2, "503": 1}
    assert of["p50_milliseconds"] == pytest.approx(20.0)
    assert of["longest_milliseconds"] == pytest.approx(30.0)
    assert of["around_p99_milliseconds"] == pytest.approx(20.0)
    assert of["around_ratio"] == pytest.approx(2.0)
    assert of["ratio"] == pytest.approx(np.percentile([30.0, 20.0, 20.0], 99) / 10.0)
    assert of["seconds_to_effect"] == [8.0]
    assert (of["megabytes_before"], of["megabytes_highest"]) == (120.0, 150.0)


def test_quiet_phases_are_compared_with_each_other() -> None:
    phases = [Phase(QUIET, float(10 * n), 10.0 * n + 5, 10.0 * n + 10, 1.0, 1.0) for n in range(2)]
    rows = [(0.1 * n, 10.0, 200, False) for n in range(99)] + [(10 + 0.1 * n, 40.0, 200, False) for n in range(99)]
    of = figures_of(phases, replies_of(*rows))[QUIET]
    assert of["ratios"] == pytest.approx([0.25, 1.0])


def test_a_swap_takes_effect_after_it_was_asked_for_and_everybody_is_answered(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    first, second = world.publish(), world.publish()
    world.registry.promote(first)
    with served(world.config("short", TrialSettings()), tmp_path) as server:
        server.logged(0, "model swapped", model_id=first)
        world.tell_histories(server.post)
        plan = LoadPlan(rate=25.0, connections=4, people=SMALL.people, events=0.3, seed=1)
        with running_load(server.address, plan, tmp_path) as load:
            operator = Operator(server, world.registry, "short", 0.3, Told(lambda *_: None, 1))
            operator.quiet()
            operator.promote("swap", second)
            replies = load.end()
        assert world.registry.stages().production == second
        server.stop()
    figures = figures_of(operator.phases, replies)
    assert figures["swap"]["failed"] == figures[QUIET]["failed"] == 0
    assert figures["swap"]["requests"] > 10
    assert set(figures["swap"]["statuses"]) == {"200", "207"}
    assert not replies["degraded"].any()  # everybody has a history, and the store answers
    swap = operator.phases[1]
    assert swap.began < swap.effect < swap.ended
    assert 20 < swap.before <= swap.highest < 2000


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL._replace(has_catalogue=False))
    config = world.config("short", TrialSettings()).model_copy(update={"trusted_keys": (tmp_path / "none.pem",)})
    with pytest.raises(ServerFailed, match=r"none\.pem"), served(config, tmp_path):
        pass


def test_a_load_that_nobody_can_ask_is_refused() -> None:
    with pytest.raises(BadInput, match=r"rate=0\.0"):
        measure_swap(SMALL, SwapLoad(rate=0.0), lambda *_: None)


@pytest.mark.slow
def test_the_command_goes_through_all_phases_and_nobody_meets_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ("--items", "300", "--dim", "8", "--pairs", "20", "--people", "50", "--events", "4")
    figures = (
        Command(tmp_path)
        .run("bench", "swap", *size, "--share", "0.3", "--seconds", "1", "--turns", "1", "--json")
        .json()
    )
    assert list(figures["servers"]["shadow"]["kinds"]) == [QUIET, "swap", "shadow", "roll-back"]
    canary = figures["servers"]["canary"]["kinds"]
    assert list(canary) == [QUIET, "canary", "canary promoted", "bad canary stopped", "roll-back"]
    kinds = [kind for server in figures["servers"].values() for kind in server["kinds"].items()]
    statuses = {status for _, of in kinds for status in of["statuses"]}
    assert statuses - {"503"} == {"200", "207"}  # a machine that others need too may have to turn some away
    assert figures["targets"]["failed"] == sum(of["failed"] for _, of in kinds)
    worst = max(of["ratio"] for name, of in kinds if name != QUIET)
    assert figures["targets"]["worst_p99_ratio"] == pytest.approx(worst)
    assert figures["servers"]["shadow"]["rate"] == pytest.approx(0.3 * figures["servers"]["shadow"]["capacity"])
    show_swap(figures)
    assert "bad canary stopped" in capsys.readouterr().out
