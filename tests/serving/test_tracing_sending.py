"""Sending traces: which requests are recorded, and what a receiver that is slow, away or misnamed changes."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from serving.tracing.exporting import Export
from serving.tracing.settings import TraceSettings
from serving.tracing.spans import RequestSpan, note_list, step
from tests.hearth.command import Command
from tests.redis_server import free_port
from tests.serving.published import Publisher, draft
from tests.serving.running import PATIENCE, ROOT, Server, config_of, running, started, until
from tests.serving.trace_receiver import SENDER, receiving, traceparent


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_decides_of_requests_that_name_no_trace_and_the_sender_of_others(
    publisher: Publisher, tmp_path: Path, share: float
) -> None:
    """The receiver is slow: most of the spans wait when the server is told to stop, and are sent within its time."""
    model_id = publisher.publish(draft(1))
    with receiving() as receiver:
        receiver.seconds = 0.5
        traces = {"url": receiver.url, "send_seconds": 3600.0, "share": share}
        with started(config_of(publisher, traces=traces), tmp_path) as server:
            server.serves(model_id)
            own = {server.client.get("/livez").headers["x-request-id"] for _ in range(100)}
            for recorded in (True, False):
                trace_id = f"{int(recorded) + 1:032x}"
                reply = server.client.get("/livez", headers=traceparent(trace_id, recorded=recorded))
                assert reply.headers["x-request-id"] == trace_id
        found = {span.trace_id.hex() for span in receiver.spans()}
    assert f"{2:032x}" in found
    assert f"{1:032x}" not in found
    assert len(own & found) == (100 if share else 0)


def test_while_the_receiver_does_not_answer_requests_go_on_what_is_too_much_is_dropped_and_the_end_is_in_time(
    publisher: Publisher, tmp_path: Path
) -> None:
    model_id = publisher.publish(draft(1))
    with receiving() as receiver:
        receiver.answers.clear()
        traces = {"url": receiver.url, "send_seconds": 0.01, "most_waiting": 5}
        with running(config_of(publisher, traces=traces, drain_seconds=1), tmp_path) as server:
            server.serves(model_id)
            until(lambda: server.recommend().status_code == 200 and dropped(server) > 0, server.log)
            before, began = dropped(server), time.monotonic()
            for _ in range(20):
                server.ask(k=3)
            assert time.monotonic() - began < 5.0  # seconds; the exporter waits for ten
            assert dropped(server) == before + 2 * 20 + 1  # the span of the last look at the metrics, too
            assert server.metric('hearth_trace_spans_total{outcome="sent"}') == 0
            told = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - told < 4.0
            [lost] = server.logged("traces lost")
            assert 5 <= lost["spans"] <= 10  # five wait, and a batch of no more is being sent
            assert "Traceback" not in server.log()


def test_told_to_give_up_an_export_waits_for_no_other_attempt() -> None:
    """The receiver is away; by itself the exporter would try again for seven seconds."""
    export = Export(TraceSettings(url=f"http://127.0.0.1:{free_port()}", send_seconds=0.01), CollectorRegistry())
    RequestSpan(export.tracer, "GET", []).end("/livez", "", 200)
    time.sleep(0.3)  # the first attempt has failed
    told = time.monotonic()
    asyncio.run(export.close(0.1))
    until(lambda: not [one for one in threading.enumerate() if one.name == "traces-ending"], threading.enumerate)
    assert time.monotonic() - told < 3.0


def dropped(server: Server) -> float:
    return server.metric('hearth_trace_spans_total{outcome="dropped"}')


def test_while_the_receiver_is_away_requests_go_on_and_spans_that_fail_are_counted(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")  # seconds, for all attempts
    model_id, port = publisher.publish(draft(1)), free_port()
    traces = {"url": f"http://127.0.0.1:{port}", "send_seconds": 0.02}
    with started(config_of(publisher, traces=traces), tmp_path) as server:
        server.serves(model_id)
        failed = 'hearth_trace_spans_total{outcome="failed"}'
        until(lambda: server.ask(k=3)["items"] and server.metric(failed) > 0, server.log)
        until(lambda: server.metric(failed) > 20, server.log)
        [said] = server.logged("traces not taken")  # once, and not for each batch
        assert said["by"] == f"http://127.0.0.1:{port}/v1/traces"
        assert not any(
            line["logger"].startswith("opentelemetry") for line in map(json.loads, server.log().splitlines())
        )


def test_without_traces_configured_nothing_is_made_of_them(server: Server) -> None:
    assert server.ask(k=3)["items"]
    assert "hearth_trace_spans" not in server.client.get("/metrics").text
    assert step("read person") is step("make list")
    note_list("r0001-none", "anonymous", ["store-unavailable"])


def test_a_receiver_without_the_extra_installed_is_said_at_the_start_and_nothing_else_needs_it(
    publisher: Publisher, tmp_path: Path
) -> None:
    """The same packages, but for OpenTelemetry's SDK and exporter: links to those of this environment."""
    packages, installed = tmp_path / "packages", Path(sysconfig.get_path("purelib"))
    (packages / "opentelemetry").mkdir(parents=True)
    for folder, left_out in ((Path(), {"opentelemetry"}), (Path("opentelemetry"), {"sdk", "exporter"})):
        for entry in (installed / folder).iterdir():
            if entry.name not in left_out and entry.suffix != ".pth":
                (packages / folder / entry.name).symlink_to(entry)
    file = tmp_path / "serving.json"
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    command = [sys.executable, "-S", "-m", "serving", str(file)]  # -S: without the packages of this environment

    def start() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    file.write_text(config_of(publisher, traces={"url": "http://127.0.0.1:4318"}).model_dump_json())
    ended = start()
    assert ended.returncode == 1
    assert "opentelemetry.exporter is not installed" in ended.stderr
    assert "hearth-recommender[tracing]" in ended.stderr
    assert "Traceback" not in ended.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that it gets far, and ends by itself
        file.write_text(config_of(publisher, port=taken.getsockname()[1]).model_dump_json())
        assert "Address already in use" in start().stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector.example/", "https://collector.example/v1/traces"),
        ("http://[::1]:4318/otlp/v1/traces", "http://[::1]:4318/otlp/v1/traces"),
    ],
)
def test_a_receiver_is_named_with_or_without_its_path(url: str, expected: str) -> None:
    assert TraceSettings(url=url).url == expected
    assert TraceSettings.model_validate_json(TraceSettings(url=url).model_dump_json()).url == expected


@pytest.mark.parametrize(
    "url",
    [
        "collector:4318",
        "grpc://collector:4317",
        "http://",
        "http://host:0x1",
        "http://host:99999",
        "http://me:hidden@host",
        "http://host/v1/traces?key=hidden",
        "http://host/#hidden",
    ],
)
def test_a_url_that_is_no_receiver_or_has_a_secret_in_it_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValidationError, match="traces") as refused:
        TraceSettings(url=url)
    assert "hidden" not in str(refused.value)


def test_hearth_serve_names_the_receiver_and_the_share(tmp_path: Path) -> None:
    command = Command(tmp_path)
    command.environment["NO_PROXY"] = "127.0.0.1"
    serve = ("serve", "--registry", tmp_path / "models", "--port", "0", "--traces-share", "0")
    assert "name that too" in command.run(*serve).error()
    refused = command.run(*serve, "--traces", "http://me:hidden@collector").error()
    assert "--traces: " in refused
    assert "hidden" not in refused
    with receiving() as receiver, command.started(*serve, "--traces", receiver.url) as server:
        assert server.stdout is not None
        address = server.stdout.readline().decode().strip()
        for headers in ({}, traceparent(SENDER)):
            httpx.get(f"{address}/livez", headers=headers, timeout=PATIENCE)
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
    assert [span.trace_id.hex() for span in receiver.spans()] == [SENDER]
